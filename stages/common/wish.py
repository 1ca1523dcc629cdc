"""The wish to stop, as signals bring it.

GNU ``timeout``, a terminal and Slurm tell a process and its group, so one wish may come by two ways.
Each handler of signals keeps one ``Wish`` and asks it what the signal at hand means.
"""

import time
from enum import Enum

AGAIN_S = 1.0
"""Signals closer than this to the first are the same wish: a second Ctrl-C is later."""


class Heard(Enum):
    """What a signal means."""

    FIRST = "first"
    SAME = "the same wish by another way"
    AGAIN = "asked once more"


class Wish:
    """Remembers when a stop was asked for."""

    def __init__(self) -> None:
        self._first: float | None = None

    def hear(self) -> Heard:
        """A signal has come."""
        now = time.monotonic()
        if self._first is None:
            self._first = now
            return Heard.FIRST
        return Heard.AGAIN if now - self._first > AGAIN_S else Heard.SAME

    def seconds(self) -> float:
        """Since the stop was first asked for; 0 before."""
        return 0.0 if self._first is None else time.monotonic() - self._first
