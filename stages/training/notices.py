"""Lines for the user from the workers, whose own output Ray keeps in its logs.

Workers append to a file in the run's folder; the driver shows what is new.
"""

import contextlib
from pathlib import Path

FILE = "notices.log"


def say(folder: Path, line: str) -> None:
    """Leave one line for the user; on a full disk it is lost, and training is not."""
    with contextlib.suppress(OSError), open(folder / FILE, "a", encoding="utf-8") as file:
        file.write(" ".join(line.split()) + "\n")


class Notices:
    """Shows the lines that came since the last look."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / FILE
        self._seen = self._file.stat().st_size if self._file.is_file() else 0

    def new(self) -> list[str]:
        """Whole lines not returned before."""
        if not self._file.is_file():
            return []
        with open(self._file, "rb") as file:
            file.seek(self._seen)
            content = file.read()
        whole = content[: content.rfind(b"\n") + 1]
        self._seen += len(whole)
        return whole.decode(errors="replace").splitlines()
