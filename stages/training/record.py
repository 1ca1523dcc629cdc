"""How a run was executed: machine, speed, memory and hours, by attempt, in ``execution.json``.

Execution never enters an out. The stage that trained keeps it under ``$REPO_RUNS/execution``, which
``repo-pipeline gc`` leaves alone.
"""

import contextlib
import os
import platform
import shutil
import statistics
import time
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from stages.common import runs
from stages.common.errors import UserError
from stages.common.files import read_json, write_json
from stages.training import held_out
from stages.training.execution import Execution

FILE = "execution.json"
FOLDER = "execution"
"""Under ``$REPO_RUNS``: ``<item>.json`` and ``<item>.samples.jsonl``."""


class Record:
    """Rank 0's record of this attempt, after those that were cut off before it."""

    def __init__(
        self, folder: Path, execution: Execution, world: int, zero: int, step: int
    ) -> None:
        self._file, self._started = folder / FILE, time.monotonic()
        self._before: list[dict[str, Any]] = _read(self._file)
        self._speeds: list[float] = []
        self._row: dict[str, Any] = {
            "began": datetime.now(UTC).isoformat(timespec="seconds"),
            "first_step": step,
            "machine": machine(),
            "execution": asdict(execution) | {"workers": world, "zero_stage": zero},
        }
        self.looks_s = 0.0
        """Seconds that looks at held-out text and the probe took."""

    @property
    def seconds(self) -> float:
        """Since this attempt began."""
        return time.monotonic() - self._started

    def add(self, step: int, tokens_per_s_per_worker: float, memory_gib: float) -> None:
        """The state at a point of the curve; a full disk loses it, and training goes on."""
        self._speeds.append(tokens_per_s_per_worker)
        self._row |= {
            "last_step": step,
            "seconds": round(self.seconds, 1),
            "looks_seconds": round(self.looks_s, 2),
            "tokens_per_s_per_worker": round(statistics.median(self._speeds), 1),
            "peak_memory_gib": memory_gib,
        }
        with contextlib.suppress(OSError):
            write_json(self._file, [*self._before, self._row])


def machine() -> dict[str, Any]:
    """What it ran on."""
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        "gpu": gpu,
        "cpu": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


def keep(run: Path, item: str) -> None:
    """Keep a finished run's record and samples beyond ``gc``, by item and by the run's own key."""
    folder = runs.root() / FOLDER
    attempts = _read(run / FILE)
    if not attempts:
        return
    file = folder / f"{item}.json"
    kept = _read_kept(file)
    kept[run.name] = {
        "hours": round(sum(row.get("seconds", 0.0) for row in attempts) / 3600, 4),
        "attempts": attempts,
    }
    write_json(file, kept)
    if (run / held_out.FILE).is_file():
        shutil.copyfile(run / held_out.FILE, folder / f"{item}.samples.jsonl")


def _read(file: Path) -> list[dict[str, Any]]:
    try:
        found = read_json(file)
    except (UserError, OSError):
        return []
    return found if isinstance(found, list) else []


def _read_kept(file: Path) -> dict[str, Any]:
    try:
        found = read_json(file)
    except (UserError, OSError):
        return {}
    return found if isinstance(found, dict) else {}
