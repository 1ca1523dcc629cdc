"""A worker that hangs ends itself, so that Ray Train starts the group anew from the last checkpoint.

A peer that is gone without a word leaves the others waiting in a collective; they never raise. Work
that is a rank's own (reading, hashing, writing, exporting) may take any time, on slow storage hours;
a rank that is at such work says so in a file, and the others, who wait for it, are not hanging.
"""

import contextlib
import faulthandler
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

EXIT_CODE = 70
BUSY = ".busy-"
"""Start of the name of a rank's file; what stands in it changes while the rank is at its own work."""
PATIENCE = 4
"""Looks of a watchdog within its seconds."""


class Watchdog:
    """Ends this process when ``beat`` was not called for ``seconds``.

    ``folder``: shared by all ranks. ``say``: leaves a line for the user.
    """

    def __init__(self, seconds: float, say: Callable[[str], None], folder: Path, rank: int) -> None:
        self._seconds, self._say = seconds, say
        self._folder, self._mark = folder, folder / f"{BUSY}{rank:05d}"
        self._beat, self._doing = time.monotonic(), "starting"
        self._own_since: float | None = None
        self._told = 0
        self._seen: dict[str, str] = {}
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    def __enter__(self) -> "Watchdog":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()
        self._unmark()

    def beat(self, doing: str) -> None:
        """Still alive; ``doing`` is what comes next."""
        self._beat, self._doing = time.monotonic(), doing

    @contextlib.contextmanager
    def own_work(self, doing: str) -> Iterator[None]:
        """Work that waits for no other rank: it may take its time, and the others may wait for it."""
        self.beat(doing)
        self._own_since, self._told = time.monotonic(), 0
        try:
            yield
        finally:
            self._own_since = None
            self.beat(f"what follows {doing}")

    def _watch(self) -> None:
        while not self._done.wait(min(1.0, self._seconds / PATIENCE)):
            since = self._own_since
            if since is not None:
                self._at_own_work(time.monotonic() - since)
            else:
                self._unmark()
                if self._others_work():
                    self._beat = time.monotonic()
                elif time.monotonic() - self._beat > self._seconds:
                    self._end()

    def _at_own_work(self, seconds: float) -> None:
        """Show the other ranks, and now and then the user, that this one is at work."""
        with contextlib.suppress(OSError):
            self._mark.write_text(f"{os.getpid()} {time.monotonic()}")
        if seconds > self._seconds * (self._told + 1):
            self._told += 1
            self._say(f"is still {self._doing}, for {seconds:.0f} s now")

    def _others_work(self) -> bool:
        """Whether another rank's file changed since the last look; its clock need not be ours."""
        seen: dict[str, str] = {}
        for file in self._folder.glob(f"{BUSY}*"):
            if file != self._mark:
                with contextlib.suppress(OSError):
                    seen[file.name] = file.read_text()
        changed = any(self._seen.get(name) != text for name, text in seen.items() if text)
        self._seen = seen
        return changed

    def _unmark(self) -> None:
        with contextlib.suppress(OSError):
            self._mark.unlink(missing_ok=True)

    def _end(self) -> None:
        self._say(
            f"hangs: nothing for {self._seconds:.0f} s at {self._doing} (REPO_HANG_SECONDS); "
            "ending this worker to start anew from the last checkpoint"
        )
        faulthandler.dump_traceback(file=sys.__stderr__ or sys.stderr, all_threads=True)
        os._exit(EXIT_CODE)
