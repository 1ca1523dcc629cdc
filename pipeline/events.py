"""What happens in a run, one JSON object a line, for whoever watches it from elsewhere.

A run on a cluster writes them to ``$REPO_EVENTS_FILE``; the laptop that submitted it mirrors them as
tasks (``pipeline.remote``). Every run keeps them beside its logs (``pipeline.local``).
"""

import contextlib
import json
import os
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

VARIABLE = "REPO_EVENTS_FILE"
State = Literal["planned", "running", "progress", "skipped", "completed", "failed", "stopped"]
_lock = threading.Lock()
_files: list[Path] = []


@contextlib.contextmanager
def kept(file: Path) -> Iterator[None]:
    """Append every event to ``file`` as well until the block ends."""
    _files.append(file)
    try:
        yield
    finally:
        _files.remove(file)


def emit(stage: str | None, state: State, line: str = "") -> None:
    """Append an event about ``stage`` (none: the whole run); nothing when nobody asked for it."""
    asked = os.environ.get(VARIABLE)
    targets = [*_files, *([Path(asked)] if asked else [])]
    if not targets:
        return
    happened = {
        "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "stage": stage,
        "state": state,
        "line": line,
    }
    text = json.dumps(happened, ensure_ascii=False) + "\n"
    with _lock:
        for target in targets:
            with open(target, "a", encoding="utf-8") as file:
                file.write(text)
