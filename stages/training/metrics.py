"""Rank 0's figures: ``metrics.jsonl`` in the run's folder; TensorBoard and W&B where asked for."""

import contextlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from stages.common.files import write_jsonl
from stages.training.execution import Execution
from stages.training.notices import say

FILE, BOARD = "metrics.jsonl", "tensorboard"
LAST_UPLOAD_S = 120.0
"""W&B may upload for so long at the end; without a limit a lost network would hang a finished run."""


class Sink(Protocol):
    """Where numbers go besides the file."""

    def add(self, numbers: Mapping[str, float], step: int) -> None:
        """The figures of ``step``."""

    def close(self) -> None:
        """Flush them."""


class TensorBoard:
    """Event files in the run's folder; a resumed run takes back what it did after ``step``."""

    def __init__(self, folder: Path, step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(folder / BOARD), purge_step=step + 1)

    def add(self, numbers: Mapping[str, float], step: int) -> None:
        """One scalar per figure."""
        for name, value in numbers.items():
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        """Flush the events."""
        self._writer.close()


class WeightsAndBiases:
    """A run in a W&B project. Its id stays, so that a resumed run goes on in the same one."""

    def __init__(self, folder: Path, project: str) -> None:
        import wandb  # type: ignore[import-not-found, unused-ignore]

        settings = wandb.Settings(
            silent=True, finish_timeout=LAST_UPLOAD_S, finish_timeout_raises=True
        )
        self._run = wandb.init(
            project=project, id=folder.name, resume="allow", dir=str(folder), settings=settings
        )

    def add(self, numbers: Mapping[str, float], step: int) -> None:
        """One row; W&B keeps the first of two with the same step, which are equal."""
        self._run.log(dict(numbers), step=step)

    def close(self) -> None:
        """Send what is left."""
        self._run.finish()


class Metrics:
    """Appends one row of figures per point; a resumed run drops the rows beyond where it resumes.

    What fails besides the file is told once and left: training goes on without it.
    """

    def __init__(self, folder: Path, step: int, execution: Execution) -> None:
        self._folder, self._file = folder, folder / FILE
        rows = self._file.read_text(encoding="utf-8").splitlines() if self._file.is_file() else []
        write_jsonl(self._file, [row for row in map(_row, rows) if row and row["step"] <= step])
        self._sinks: dict[str, Sink] = {}
        if execution.tensorboard:
            self._open("REPO_TENSORBOARD", lambda: TensorBoard(folder, step))
        if execution.wandb:
            self._open("REPO_WANDB", lambda: WeightsAndBiases(folder, execution.wandb))

    def add(self, row: dict[str, Any]) -> None:
        """One row; ``step`` is among its figures. On a full disk it is lost, and training is not."""
        with contextlib.suppress(OSError), open(self._file, "a", encoding="utf-8") as file:
            file.write(json.dumps(row, sort_keys=True) + "\n")
        numbers = {name: value for name, value in row.items() if isinstance(value, int | float)}
        for name, sink in list(self._sinks.items()):
            self._try(name, lambda sink=sink: sink.add(numbers, row["step"]))  # type: ignore[misc]

    def close(self) -> None:
        """Flush what others keep."""
        for name, sink in list(self._sinks.items()):
            self._try(name, sink.close)

    def _open(self, name: str, make: Callable[[], Sink]) -> None:
        self._try(name, lambda: self._sinks.update({name: make()}))

    def _try(self, name: str, act: Callable[[], None]) -> None:
        try:
            act()
        except Exception as error:  # theirs are of any kind: no key, no network, a full disk
            self._sinks.pop(name, None)
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            say(self._folder, f"{name}: {reason}; training goes on without it")


def _row(line: str) -> dict[str, Any] | None:
    """A row, or none for a line that a kill cut off."""
    try:
        found: dict[str, Any] = json.loads(line)
    except json.JSONDecodeError:
        return None
    return found
