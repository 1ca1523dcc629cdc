"""A rehearsal: everything is built, two steps are taken on made-up data, nothing is kept."""

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from stages.common.files import read_jsonl
from stages.common.tokens import DTYPE
from stages.training.launch import launch
from stages.training.metrics import FILE
from stages.training.params import TrainingParams
from stages.training.run import Run

STEPS = 2


def rehearse(
    name: str,
    params: TrainingParams,
    build: Callable[[], nn.Module],
    vocabulary: int,
    base: Path | None = None,
) -> dict[str, Any]:
    """Take two steps of the last length phase; returns the last step's figures, printed as well.

    The first step's time counts what happens once, so the second's is told.
    """
    with tempfile.TemporaryDirectory(prefix="repo-dry-run-") as folder:
        last = params.lengths[-1]
        tokens = _made_up(Path(folder) / "tokens", vocabulary, 8 * last.length)
        changes = {"tokens": STEPS * params.batch_of(last)}
        phase = {**last.model_dump(), "share": 1.0, "sources": None}
        short = TrainingParams(
            **{
                **{field: getattr(params, field) for field in TrainingParams.model_fields},
                **changes,
                "lengths": (phase,),
            }
        )
        run = Run(short, 0, tokens, Path(folder) / "run", build, base)
        run.folder.mkdir()
        launch(name, run, vocabulary, dry_run=True)
        figures: dict[str, Any] = list(read_jsonl(run.folder / FILE))[-1]
    hours = figures["s_per_step"] * params.steps / 3600
    print(
        f"{name}: dry run: {figures['s_per_step']:.2f} s per step of {params.batch_of(last):,} tokens, "
        f"{figures['tokens_per_s_per_worker']:,.0f} tok/s/worker, peak memory of rank 0 "
        f"{figures['peak_memory_gib']:.2f} GiB; {params.steps:,} steps would take {hours:.1f} h",
        flush=True,
    )
    return figures


def _made_up(folder: Path, vocabulary: int, count: int) -> Path:
    """Random tokens, enough for a few sequences: the steps read them again and again."""
    (folder / "train").mkdir(parents=True)
    ids = np.random.default_rng(0).integers(0, vocabulary, count)
    ids.astype(DTYPE).tofile(folder / "train" / "made-up.npy")
    shard = {"split": "train", "source": "made-up", "file": "train/made-up.npy", "tokens": count}
    manifest = {"vocab_size": vocabulary, "eos_id": 0, "shards": [shard]}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder
