"""Progress as plain lines: what is done of how much, the rate and the time that is left."""

import time


class Progress:
    """Prints a line at most every ``every_s`` seconds, and one at the end; ``total`` may be unknown."""

    def __init__(self, name: str, total: float | None, unit: str, every_s: float = 5.0) -> None:
        self.name, self.total, self.unit, self.every_s = name, total, unit, every_s
        self._started = self._printed = time.monotonic()
        self._first: float | None = None

    def update(self, done: float, note: str = "") -> None:
        """Say that ``done`` of the total is done; ``note`` is shown behind the figures."""
        now = time.monotonic()
        if self._first is None:
            self._first, self._started = done, now
        finished = self.total is not None and done >= self.total
        if now - self._printed < self.every_s and not finished:
            return
        self._printed = now
        rate = (done - self._first) / max(now - self._started, 1e-9)
        line = f"{self.name}: {done:,.0f} {self.unit}"
        if self.total:
            line += f" of {self.total:,.0f}, {100 * done / self.total:.0f} %"
        line += f", {rate:,.0f}/s"
        if self.total and rate > 0 and not finished:
            line += f", {(self.total - done) / rate:.0f} s left"
        print(f"{line}; {note}" if note else line, flush=True)
