"""Progress as plain lines that a conductor can read back, and as a bar on a stage's own terminal.

A line says what is done of how much, the rate and the time that is left; ``parse`` is its inverse, so
that a pipe of plain text is all that stands between a stage and whoever shows its bar.
"""

import os
import re
import sys
import time
from typing import NamedTuple

from tqdm import tqdm

_LINE = re.compile(
    r"(?P<name>[^:]+): (?P<done>[\d,]+) (?P<unit>\S+)"
    r"(?: of (?P<total>[\d,]+), \d+ %)?, [\d,.]+/s"
    r"(?:, (?P<left>[\dhmins ]+) left)?(?:; (?P<note>.*))?"
)


class Tick(NamedTuple):
    """What one line of progress says."""

    name: str
    done: int
    unit: str
    total: int | None
    left: str | None
    """Time that is left, as ``duration`` writes it."""
    note: str | None


class Progress:
    """Prints a line at most every ``every_s`` seconds, and one at the end; ``total`` may be unknown.

    On a terminal it is a bar instead; under CI (``$CI``) only the last line is printed.
    """

    def __init__(self, name: str, total: float | None, unit: str, every_s: float = 5.0) -> None:
        self.name, self.total, self.unit, self.every_s = name, total, unit, every_s
        self._started = self._printed = time.monotonic()
        self._first: float | None = None
        self._bar = _bar(name, total, unit)

    def update(self, done: float, note: str = "") -> None:
        """Say that ``done`` of the total is done; ``note`` is shown behind the figures."""
        now = time.monotonic()
        if self._first is None:
            self._first, self._started = done, now
        finished = self.total is not None and done >= self.total
        if self._bar is not None:
            self._bar.set_postfix_str(note, refresh=False)
            self._bar.update(done - self._bar.n)
            if finished:
                self._bar.close()
            return
        due = now - self._printed >= self.every_s and not os.environ.get("CI")
        if not (due or finished):
            return
        self._printed = now
        rate = (done - self._first) / max(now - self._started, 1e-9)
        print(_line(self.name, done, self.unit, self.total, rate, note), flush=True)


def duration(seconds: float) -> str:
    """Seconds for people: ``48 s``, ``12 min``, ``3 h 05 min``."""
    minutes = round(seconds / 60)
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def parse(line: str) -> Tick | None:
    """Read a line of ``Progress`` back; none for any other line."""
    found = _LINE.fullmatch(line)
    if found is None:
        return None
    total = found["total"]
    return Tick(
        found["name"],
        int(found["done"].replace(",", "")),
        found["unit"],
        int(total.replace(",", "")) if total else None,
        found["left"],
        found["note"],
    )


def _line(
    name: str, done: float, unit: str, total: float | None, rate: float, note: str = ""
) -> str:
    text = f"{name}: {done:,.0f} {unit}"
    if total:
        text += f" of {total:,.0f}, {100 * done / total:.0f} %"
    text += f", {rate:,.0f}/s"
    if total and rate > 0 and done < total:
        text += f", {duration((total - done) / rate)} left"
    return f"{text}; {note}" if note else text


def _bar(name: str, total: float | None, unit: str) -> "tqdm[None] | None":
    if os.environ.get("CI") or not sys.stderr.isatty() or not sys.stdout.isatty():
        return None
    return tqdm(desc=name, total=total, unit=f" {unit}", dynamic_ncols=True, leave=True)
