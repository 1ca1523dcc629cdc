"""Being told to stop: by a signal, or by the word "cancel" on Prefect's page.

Prefect's worker asks its process to end, but not what that process started, and a worker that died
asks nobody. So a run looks at its own state, and on any of these stops its stages first.
"""

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any
from uuid import UUID

from prefect.client.orchestration import get_client

from pipeline.process import hurry, saving, settled
from stages.common.wish import Heard, Wish

LEAVE_S = 15.0
"""A run whose stages are stopped and that Prefect still holds is ended after this."""
LOOK_S = 2.0
"""How often a run looks whether it was cancelled: well under the 10 s that a stop may take."""


@contextlib.contextmanager
def stopped_from_outside(run: UUID, stop: Callable[[], None]) -> Iterator[None]:
    """Call ``stop`` on SIGINT, SIGTERM or SIGHUP, or when flow run ``run`` is cancelled."""
    over = threading.Event()
    with _on_signals(stop):
        threading.Thread(target=_look, args=(run, over, stop), daemon=True, name="cancel").start()
        try:
            yield
        finally:
            over.set()


def cancelled(*runs: UUID) -> bool:
    """Whether one of the flow runs was cancelled; a server that does not answer has not said so."""
    with contextlib.suppress(Exception), get_client(sync_client=True) as client:
        states = [client.read_flow_run(run).state for run in runs]
        return any(state and (state.is_cancelling() or state.is_cancelled()) for state in states)
    return False


@contextlib.contextmanager
def _on_signals(stop: Callable[[], None]) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before: dict[int, Any] = {}
    wish = Wish()

    def act(number: int, frame: FrameType | None) -> None:
        heard = wish.hear()
        if heard is Heard.SAME:
            return
        if heard is Heard.AGAIN and saving():  # to raise once more would end the wait for it
            if number == signal.SIGINT:
                hurry()
            return
        stop()
        previous = before[number]
        if callable(previous):  # Prefect's own handler, Python's KeyboardInterrupt
            previous(number, frame)
        elif previous == signal.SIG_DFL:
            raise KeyboardInterrupt

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        before[number] = signal.signal(number, act)
    try:
        yield
    finally:
        for caught, handler in before.items():
            signal.signal(caught, handler)


def _look(run: UUID, over: threading.Event, stop: Callable[[], None]) -> None:
    # A server that is away for a moment is asked again.
    while not over.wait(LOOK_S):
        with contextlib.suppress(Exception):
            with get_client(sync_client=True) as client:
                state = client.read_flow_run(run).state
            if state and (state.is_cancelling() or state.is_cancelled() or state.is_crashed()):
                stop()
                settled()  # a stage may save first
                if not over.wait(LEAVE_S):
                    os.kill(os.getpid(), signal.SIGTERM)
                return
