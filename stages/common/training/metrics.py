"""Rank 0's figures: ``metrics.jsonl`` in the run's folder; TensorBoard and W&B where asked for."""

import contextlib
import json
from pathlib import Path
from typing import Any

from stages.common.files import write_jsonl
from stages.common.training.execution import Execution

FILE = "metrics.jsonl"


class Metrics:
    """Appends one row of figures per point; a resumed run drops the rows beyond where it resumes."""

    def __init__(self, folder: Path, step: int, execution: Execution) -> None:
        self._file = folder / FILE
        rows = self._file.read_text(encoding="utf-8").splitlines() if self._file.is_file() else []
        write_jsonl(self._file, [row for row in map(_row, rows) if row and row["step"] <= step])
        self._board = self._wandb = None
        if execution.tensorboard:
            from torch.utils.tensorboard import SummaryWriter

            self._board = SummaryWriter(str(folder / "tensorboard"), purge_step=step)
        if execution.wandb:
            import wandb  # type: ignore[import-not-found, unused-ignore]

            # A name that stays: a resumed run goes on in the same W&B run.
            self._wandb = wandb.init(
                project=execution.wandb, id=folder.name, resume="allow", dir=str(folder)
            )

    def add(self, row: dict[str, Any]) -> None:
        """One row; ``step`` is among its figures. On a full disk it is lost, and training is not."""
        with contextlib.suppress(OSError), open(self._file, "a", encoding="utf-8") as file:
            file.write(json.dumps(row, sort_keys=True) + "\n")
        numbers = {name: value for name, value in row.items() if isinstance(value, int | float)}
        if self._board is not None:
            for name, value in numbers.items():
                self._board.add_scalar(name, value, row["step"])
        if self._wandb is not None:
            self._wandb.log(numbers, step=row["step"])

    def close(self) -> None:
        """Flush what others keep."""
        if self._board is not None:
            self._board.close()
        if self._wandb is not None:
            self._wandb.finish()


def _row(line: str) -> dict[str, Any] | None:
    """A row, or none for a line that a kill cut off."""
    try:
        found: dict[str, Any] = json.loads(line)
    except json.JSONDecodeError:
        return None
    return found
