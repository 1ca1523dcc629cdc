"""A stage does not outlive the run that started it, even when that run was killed with -9.

An orphan would go on with cores, memory and the owner's lock that the next run needs.
"""

import os
import signal
import threading
import time

import psutil

VARIABLE = "REPO_CONDUCTOR"
"""``<pid>:<start time>`` of the process to watch; unset: nobody is watched."""
_LOOK_S = 1.0
_GRACE_S = 5.0
"""From being asked to stop to being stopped."""


def mark() -> str:
    """What names this process for ``watch``: a pid alone may belong to another by now."""
    return f"{os.getpid()}:{psutil.Process().create_time():.2f}"


def alive(marked: str) -> bool:
    """Whether the process that ``mark`` named still runs."""
    pid, _, started = marked.partition(":")
    try:
        process = psutil.Process(int(pid))
        same = f"{process.create_time():.2f}" == started
        return same and process.status() != psutil.STATUS_ZOMBIE
    except (psutil.NoSuchProcess, ValueError):
        return False


def watch() -> None:
    """Stop this process (SIGTERM, then for good) once the one in ``$REPO_CONDUCTOR`` is gone."""
    marked = os.environ.get(VARIABLE)
    if marked:
        threading.Thread(target=_watch, args=(marked,), daemon=True, name="guard").start()


def _watch(marked: str) -> None:
    while alive(marked):
        time.sleep(_LOOK_S)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_GRACE_S)
    os._exit(75)
