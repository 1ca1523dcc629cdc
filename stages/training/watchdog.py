"""A worker that hangs ends itself, so that Ray Train starts the group anew from the last checkpoint.

A peer that is gone without a word leaves the others waiting in a collective; they never raise.
"""

import faulthandler
import os
import sys
import threading
import time
from collections.abc import Callable

EXIT_CODE = 70


class Watchdog:
    """Ends this process when ``beat`` was not called for ``seconds``."""

    def __init__(self, seconds: float, say: Callable[[str], None]) -> None:
        self._seconds, self._say = seconds, say
        self._beat, self._doing = time.monotonic(), "starting"
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    def __enter__(self) -> "Watchdog":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()

    def beat(self, doing: str) -> None:
        """Still alive; ``doing`` is what comes next."""
        self._beat, self._doing = time.monotonic(), doing

    def _watch(self) -> None:
        while not self._done.wait(min(1.0, self._seconds / 4)):
            if time.monotonic() - self._beat > self._seconds:
                self._say(
                    f"hangs: nothing for {self._seconds:.0f} s at {self._doing} (REPO_HANG_SECONDS); "
                    "ending this worker to start anew from the last checkpoint"
                )
                faulthandler.dump_traceback(file=sys.__stderr__ or sys.stderr, all_threads=True)
                os._exit(EXIT_CODE)
