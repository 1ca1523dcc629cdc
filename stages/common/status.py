"""How a stage tells its caller the way it ended.

DVC turns every exit code of a stage into 255 (seen in DVC 3.67), so the code and the last line go
to the file that ``$REPO_STATUS_FILE`` names, when a caller asks for it.
"""

import os
from pathlib import Path
from typing import NamedTuple

from stages.common.files import read_json, write_json

VARIABLE = "REPO_STATUS_FILE"


class Status(NamedTuple):
    """An exit code of ``stages.common.errors`` and one line for a person."""

    code: int
    line: str


def report(status: Status) -> None:
    """Write the status where the caller asked for it; nothing when nobody asked."""
    target = os.environ.get(VARIABLE)
    if target:
        write_json(Path(target), status._asdict())


def read(path: Path) -> Status | None:
    """The status that a stage left, or none when it was killed before it could."""
    return Status(**read_json(path)) if path.is_file() else None
