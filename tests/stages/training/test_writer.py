"""One rank's part that cannot be written: every rank tells the reason, whoever meets it."""

import errno
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import torch

from stages.training import checkpoint
from stages.training.progress import DataPosition, Progress
from stages.training.writer import CheckpointWriter

FULL = "No space left on device"


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, FULL),
        RuntimeError(f"Error while serializing: I/O error: {FULL} (os error 28)"),  # safetensors'
    ],
    ids=["OSError", "safetensors"],
)
@pytest.mark.parametrize("unlucky", [0, 1])
def test_the_reason_is_told(
    unlucky: int, error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save = checkpoint.save_file

    def fails(held: Any, file: Path) -> None:
        if file.stem == f"rank-{unlucky:05d}":
            raise error
        save(held, file)

    monkeypatch.setattr(checkpoint, "save_file", fails)
    writers = [CheckpointWriter(tmp_path, rank, 2, "a", 2, {"w": [2]}) for rank in (0, 1)]
    progress = Progress(DataPosition(3, 0, 0, 0, "data", 1))
    threads = [
        Thread(target=lambda one=one: (one.save({"w": torch.ones(2)}, progress), one.wait()))
        for one in writers
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert FULL in str(writers[0].failure)
    assert not list(tmp_path.glob("step-*"))
    if unlucky == 1:
        assert "rank-00001 could not write its part" in str(writers[0].failure)
