"""What happens in a run, one JSON object a line, for whoever watches it from elsewhere.

A run on a cluster writes them to ``$REPO_EVENTS_FILE``; the laptop that submitted it mirrors them as
tasks (``pipeline.remote``).
"""

import json
import os
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

VARIABLE = "REPO_EVENTS_FILE"
State = Literal["planned", "running", "progress", "skipped", "completed", "failed", "stopped"]
_lock = threading.Lock()


def emit(stage: str | None, state: State, line: str = "") -> None:
    """Append an event about ``stage`` (none: the whole run); nothing when nobody asked for it."""
    target = os.environ.get(VARIABLE)
    if not target:
        return
    event = {
        "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "stage": stage,
        "state": state,
        "line": line,
    }
    with _lock, open(Path(target), "a", encoding="utf-8") as file:
        file.write(json.dumps(event, ensure_ascii=False) + "\n")
