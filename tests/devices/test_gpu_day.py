"""The rehearsal of ``benchmarks/gpu_day.py``: what will run on a borrowed GPU runs here at toy size."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest


def day(root: Path, out: Path, *only: str) -> dict[str, Any]:
    command = [sys.executable, "benchmarks/gpu_day.py", "--toy", "--out", str(out), *only]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return {file.stem: json.loads(file.read_text()) for file in out.glob("*.json")}


def test_the_rehearsal_measures_and_asks_nothing_twice(project_root: Path, tmp_path: Path) -> None:
    asked = "speed-repo-eager-sdpa-chunked,checkpoint,prefill"
    found = day(project_root, tmp_path, "--only", asked)
    assert set(found) == set(asked.split(","))
    speed = found["speed-repo-eager-sdpa-chunked"]
    assert set(speed["ms"]) == {"forward", "backward", "optimizer"}
    assert speed["tokens_per_s"] == pytest.approx(32e3 / sum(speed["ms"].values()))
    assert found["checkpoint"]["1 of 1"]["bytes"] > 7 * found["checkpoint"]["1 of 8"]["bytes"]
    assert set(found["prefill"]) == {f"{p} {n}" for p in ("repo", "rope") for n in (16, 32)}
    assert not [name for name, result in found.items() if "error" in result]
    (tmp_path / "prefill.json").write_text('{"known": 1}')
    assert day(project_root, tmp_path, "--only", "prefill")["prefill"] == {"known": 1}


def test_a_killed_part_goes_on_to_the_same_losses(project_root: Path, tmp_path: Path) -> None:
    found = day(project_root, tmp_path, "--only", "steps-repo")["steps-repo"]
    assert (len(found["losses"]), found["resumed_at"], found["finite"]) == (6, 3, True)
    import torch

    from benchmarks.gpu_day import REHEARSAL, Stepper, ids

    whole = Stepper(REHEARSAL, REHEARSAL.small, "repo")
    shape = (2, REHEARSAL.small["max_position_embeddings"])
    steps = [whole.step(ids(REHEARSAL, REHEARSAL.small, n, shape)) for n in range(6)]
    assert torch.stack(steps).tolist() == found["losses"]
