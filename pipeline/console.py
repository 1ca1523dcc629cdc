"""What a run shows where it was started: bars on a terminal, lines in a log, little under CI."""

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from stages.common.progress import parse

Mode = Literal["bars", "lines", "quiet"]
TAIL = 15
"""Last lines of a failed stage that are shown where its lines were not."""


def mode_of(stream: object = None) -> Mode:
    """``quiet`` where ``$CI`` is set, ``bars`` on a terminal, else ``lines``."""
    if os.environ.get("CI"):
        return "quiet"
    terminal = getattr(stream or sys.stdout, "isatty", lambda: False)()
    return "bars" if terminal else "lines"


class Console:
    """Shows the stages of one run; called from several threads."""

    def __init__(self, mode: Mode, total: int) -> None:
        self.mode = mode
        self._lock = threading.Lock()
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[note]}", style="dim"),
            disable=mode != "bars",
        )
        self._stages: dict[str, TaskID] = {}
        self._tails: dict[str, list[str]] = {}
        self._all = self._bars.add_task("all stages", total=total, note="")

    @contextmanager
    def live(self) -> Iterator[None]:
        """Show bars until the block ends."""
        with self._bars:
            yield

    def started(self, stage: str, why: str) -> None:
        """A stage begins."""
        self._say(stage, why)
        with self._lock:
            self._tails[stage] = []
            if self.mode == "bars":
                self._stages[stage] = self._bars.add_task(stage, total=None, note="starting")

    def line(self, stage: str, text: str) -> None:
        """A stage printed a line."""
        tick = parse(text)
        with self._lock:
            tail = self._tails.setdefault(stage, [])
            tail.append(text)
            del tail[:-TAIL]
            if self.mode == "bars" and stage in self._stages and tick:
                note = f"{tick.left} left" if tick.left else ""
                note = "; ".join(filter(None, (note, tick.note)))
                self._bars.update(
                    self._stages[stage], completed=tick.done, total=tick.total, note=note
                )
        if self.mode == "lines" or (self.mode == "bars" and not tick):
            self._say(stage, text)

    def ended(self, stage: str, how: str, failed: bool = False) -> None:
        """A stage is over; a failed one shows its last lines where they were not shown."""
        with self._lock:
            tail = self._tails.pop(stage, [])
            if (bar := self._stages.pop(stage, None)) is not None:
                self._bars.remove_task(bar)
            self._bars.advance(self._all)
        if failed and self.mode == "quiet":
            for text in tail:
                self._say(stage, text)
        self._say(stage, how)

    def _say(self, stage: str, text: str) -> None:
        if self.mode == "bars":
            self._bars.console.print(f"[{stage}] {text}", markup=False, highlight=False)
        else:
            # one write: stages that end together would else share a line
            print(f"[{stage}] {text}\n", end="", flush=True)
