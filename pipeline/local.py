"""The last run on this machine, as ``repo-pipeline status`` tells it from the run's folder of logs.

Beside a log for each stage the folder holds ``run.json`` (what was asked, which process does it, how it
ended) and ``events.jsonl`` (``pipeline.events``).
"""

import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pipeline import events
from pipeline.remote.events import parse
from stages.common import guard
from stages.common.errors import TryAgain, one_line
from stages.common.files import read_json, write_json
from stages.common.progress import duration

RUN, EVENTS = "run.json", "events.jsonl"


@contextlib.contextmanager
def recorded(logs: Path, asked: str) -> Iterator[None]:
    """Keep what happens until the block ends, and how it ended, in the folder ``logs``."""
    run: dict[str, Any] = {"asked": asked, "process": guard.mark(), "started": _now()}
    logs.mkdir(parents=True, exist_ok=True)
    write_json(logs / RUN, run)
    how, line = "stopped", ""
    try:
        with events.kept(logs / EVENTS):
            yield
        how = "done"
    except TryAgain:
        raise  # stopped, or the machine was too busy
    except Exception as error:
        how, line = "failed", one_line(str(error) or type(error).__name__)
        raise
    finally:
        write_json(logs / RUN, {**run, "ended": _now(), "how": how, "line": line})


def lines(runs: Path) -> list[str]:
    """Where the last run under ``runs`` stands, then every stage's last event; nothing without one."""
    found = sorted((runs / "logs").glob(f"*/{RUN}"))
    if not found:
        return []
    run, logs = read_json(found[-1]), found[-1].parent
    file = logs / EVENTS
    said = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    # A line that a kill cut short is none.
    last = {event.stage: event for line in said if (event := parse(line)) is not None}
    rows = [
        f"  {stage or '(run)':20} {event.state:10} {event.line}".rstrip()
        for stage, event in last.items()
        if event.state != "skipped"
    ]
    times = [event.time for event in last.values()]
    return [f"on this machine: {run['asked']}: {_state(run, times)}", *rows, f"  logs: {logs}"]


def _state(run: dict[str, Any], times: list[str]) -> str:
    started = datetime.fromisoformat(run["started"])

    def took(end: str) -> str:
        return duration((datetime.fromisoformat(end) - started).total_seconds())

    if "ended" in run:
        told = f": {run['line']}" if run["line"] else ""
        return f"{run['how']} after {took(run['ended'])}{told}"
    if guard.alive(run["process"]):
        return f"running for {took(_now())}"
    end = max(times, default=run["started"])
    return f"killed after {took(end)} or later; the same command again goes on from there"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
