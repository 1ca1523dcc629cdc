"""The events of a run (``pipeline.events``) on their way from the cluster to the laptop.

A job's log is the one stream that reaches the laptop, so every line of ``$REPO_EVENTS_FILE`` is
printed there as well, behind ``PREFIX``; ``logs`` leaves those lines out.
"""

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

PREFIX = "::repo-event "


@dataclass(frozen=True)
class Event:
    """One change of a stage, or (``stage`` none) of the whole run."""

    time: str
    """ISO 8601, UTC."""
    stage: str | None
    state: str
    """planned, running, progress, skipped, completed, failed or stopped."""
    line: str


def event(stage: str | None, state: str, line: str) -> Event:
    """An event of now."""
    return Event(datetime.now(UTC).isoformat(timespec="milliseconds"), stage, state, line)


def parse(line: str) -> Event | None:
    """The event of a log line or of a line of the file; none for anything else."""
    try:
        value = json.loads(line.removeprefix(PREFIX))
        return Event(str(value["time"]), value["stage"], str(value["state"]), str(value["line"]))
    except (ValueError, KeyError, TypeError):
        return None


class Tail:
    """Hands every line that is appended to a file to ``show``, until it is closed."""

    def __init__(self, path: Path, show: Callable[[str], None], every_s: float = 0.2) -> None:
        self._path, self._show, self._every_s = path, show, every_s
        self._place = path.stat().st_size if path.is_file() else 0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Hand over what is left and stop."""
        self._done.set()
        self._thread.join()
        self._read()

    def _watch(self) -> None:
        while not self._done.wait(self._every_s):
            self._read()

    def _read(self) -> None:
        if not self._path.is_file():
            return
        with open(self._path, "rb") as file:
            file.seek(self._place)
            for line in file:
                if not line.endswith(b"\n"):
                    break  # being written
                self._place += len(line)
                self._show(line.decode(errors="replace").rstrip("\n"))
