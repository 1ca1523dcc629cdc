"""How often the workers were started without getting further: a run that only dies is ended."""

from pathlib import Path
from typing import Any

from stages.common.errors import UserError
from stages.common.files import read_json, write_json
from stages.training.notices import say

LIMIT = 4
"""Starts from one checkpoint; a run that gets further may die as often as it likes."""


class Attempts:
    """Counts the starts of a run's workers by the checkpoint they start from."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._file = folder, folder / "attempts.json"

    def forget(self) -> None:
        """A new driver starts counting anew."""
        self._file.unlink(missing_ok=True)

    def begin(self, checkpoints: Path) -> None:
        """Count one start; raises ``UserError`` when they get nowhere."""
        newest = max((path.parent.name for path in checkpoints.glob("step-*/COMPLETE")), default="")
        kept: dict[str, Any] = {"from": None, "starts": 0}
        if self._file.is_file():
            kept = read_json(self._file)
        starts = kept["starts"] + 1 if kept["from"] == newest else 1
        write_json(self._file, {"from": newest, "starts": starts})
        where = newest or "the start"
        if starts > LIMIT:
            raise UserError(
                f"{self._folder}: the workers died {LIMIT} times from {where} on without another "
                "checkpoint; see Ray's logs for why (memory? a bad node?), fix it and run again"
            )
        if kept["from"] is not None:
            say(self._folder, f"a worker died: started anew from {where}")
