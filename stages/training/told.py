"""A training run that is told to stop, or that a node will go: its workers save first.

The driver hears it (signals, Ray's drain notices) and leaves a file in the run's folder; the workers
look there when they meet, after a step.
"""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from stages.common import grace
from stages.common.errors import TryAgain
from stages.common.wish import Heard, Wish
from stages.training.notices import say
from stages.training.run import SAVE, STOP, Run

SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGHUP") if hasattr(signal, name)
)
DRAIN_LOOK_S = 5.0


@contextmanager
def saving_first(run: Run) -> Iterator[None]:
    """While the block runs, a signal asks the workers to save and end.

    A second Ctrl-C, or ``REPO_GRACE_SECONDS`` without an end, raises ``TryAgain``; another signal
    while the workers save is the same wish by another way.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # only there can a signal be caught
        return
    before: dict[int, Any] = {}
    wish = Wish()
    wait = grace.seconds()

    def give_up(number: int, frame: FrameType | None) -> None:
        restore()
        raise TryAgain(
            f"stopped; nothing was saved within {wish.seconds():.0f} s "
            "(REPO_GRACE_SECONDS); run again to go on from the last checkpoint"
        )

    def told(number: int, frame: FrameType | None) -> None:
        heard = wish.hear()
        if heard is Heard.FIRST:
            name = signal.Signals(number).name
            signal.signal(signal.SIGALRM, give_up)
            signal.setitimer(signal.ITIMER_REAL, wait)
            (run.folder / STOP).write_text(name)
            print(f"{name}: saving a checkpoint after this step, then ending", flush=True)
        elif heard is Heard.AGAIN and number == signal.SIGINT:
            give_up(number, frame)

    def restore() -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before.items():
            signal.signal(number, handler)

    for number in SIGNALS:
        before[number] = signal.signal(number, told)
    try:
        yield
    finally:
        restore()


@contextmanager
def saving_at_drain(
    run: Run, draining: Callable[[], set[str]], look_s: float = DRAIN_LOOK_S
) -> Iterator[None]:
    """While the block runs, a node that Ray begins to drain (a spot notice) asks for a checkpoint."""
    over = threading.Event()

    def watch() -> None:
        seen: set[str] = set()
        while not over.wait(look_s):
            with contextlib.suppress(Exception):  # Ray is away for a moment: ask again
                new = draining() - seen
                if new:
                    seen |= new
                    say(run.folder, f"{len(new)} nodes are about to go: saving a checkpoint")
                    (run.folder / SAVE).touch()

    thread = threading.Thread(target=watch, daemon=True, name="drain")
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def draining_nodes() -> set[str]:
    """Nodes that Ray is draining; Ray 2.60 has no public way to ask it from a driver."""
    import ray._private.state

    return set(ray._private.state.state.get_draining_nodes() or ())
