"""A local Ray's start on a busy machine: tried again with pauses, and nothing of a failed try is left.

Ray gives its processes 30 s, a literal in ``ray/_private/node.py``. At a load of ten per core they are
not enough; a later try often passes.
"""

import os
import sys
import time
from collections.abc import Callable
from typing import Any

import psutil

from stages.common.errors import TryAgain

PATIENCE = 300.0
"""Seconds from the first try after which no other one is made."""
PAUSES = (5.0, 10.0, 20.0, 40.0)
"""Seconds between tries; the last one repeats."""
LATE = (
    "timed out",
    "timeout",
    "may not have started",
    "failed to connect to gcs",
    "can't find a `node_ip_address.json`",
)
"""Words, in lower case, of the errors by which Ray says that a process of its own was not there yet."""


def start_patiently(start: Callable[[], Any]) -> None:
    """Call ``start`` until a Ray stands.

    Raises:
        TryAgain: It did not start in ``PATIENCE`` seconds; the line names load and cores.
        Exception: What Ray raised, where it has nothing to do with time.
    """
    began, tries = time.monotonic(), 0
    while True:
        before = {child.pid for child in psutil.Process().children(recursive=True)}
        try:
            start()
            return
        except Exception as error:
            end_failed(before)
            if not is_late(error):
                raise
            tries += 1
            pause = PAUSES[min(tries, len(PAUSES)) - 1]
            if time.monotonic() - began + pause > PATIENCE:
                raise TryAgain(
                    f"the machine is too busy: {load()}; Ray did not start in {tries} tries"
                ) from error
            say(f"Ray did not start: {load()}; try {tries + 1} in {pause:.0f} s")
            time.sleep(pause)


def is_late(error: BaseException) -> bool:
    """Whether Ray's error says that it waited in vain for a process of its own."""
    text = str(error).lower()
    return isinstance(error, TimeoutError) or any(words in text for words in LATE)


def load() -> str:
    """How busy this machine is: ``load 17 on 2 cores``."""
    return f"load {os.getloadavg()[0]:.0f} on {os.cpu_count()} cores"


def end_failed(before: set[int]) -> None:
    """End the processes of Ray that this process started and that were not there ``before``."""
    import ray

    ray.shutdown()
    left = []
    for child in psutil.Process().children(recursive=True):
        try:
            if child.pid not in before and is_ray(child.cmdline()):
                left.append(child)
                child.kill()
        except psutil.Error:
            continue
    psutil.wait_procs(left, timeout=10)


def is_ray(command: list[str]) -> bool:
    """Whether a command is one of Ray's own processes (its programs and scripts lie in ``ray/``)."""
    return any("/ray/" in word or word.startswith("ray::") for word in command)


def say(line: str) -> None:
    """Tell whoever waits; the line goes to stderr at once."""
    print(line, file=sys.stderr, flush=True)
