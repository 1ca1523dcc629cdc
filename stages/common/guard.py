"""A stage does not outlive the run that started it, even when that run was killed with -9.

An orphan would go on with cores, memory and the owner's lock that the next run needs.
"""

import os
import signal
import sys
import threading
import time
from pathlib import Path

import psutil

from stages.common import grace

VARIABLE = "REPO_CONDUCTOR"
"""``<pid>:<start>`` of the process to watch; unset: nobody is watched."""
RAY = "REPO_CONDUCTOR_RAY"
"""1: the watched process started the Ray that we use; the one is gone with the other."""
_LOOK_S = 1.0
_ALONE_S = 5.0
"""Without a Ray there are no workers to save anything."""


def mark() -> str:
    """What names this process for ``watch``: a pid alone may belong to another by now."""
    return f"{os.getpid()}:{_started(os.getpid())}"


def alive(marked: str) -> bool:
    """Whether the process that ``mark`` named still runs."""
    pid, _, started = marked.partition(":")
    try:
        same = _started(int(pid)) == started
        return same and psutil.Process(int(pid)).status() != psutil.STATUS_ZOMBIE
    except (psutil.NoSuchProcess, OSError, ValueError):
        return False


def _started(pid: int) -> str:
    """When a process began, in a way that setting the clock does not change.

    On Linux ticks since boot (field 22 of proc_pid_stat(5)): ``create_time`` adds the time of the
    boot, which moves with NTP and after a sleep.
    """
    stat = Path(f"/proc/{pid}/stat")
    if sys.platform == "linux":
        # The second field is the name in brackets and may hold anything.
        return stat.read_text(errors="replace").rpartition(")")[2].split()[19]
    return f"{psutil.Process(pid).create_time():.2f}"


def watch() -> None:
    """Stop this process (SIGTERM, then for good) once the one in ``$REPO_CONDUCTOR`` is gone.

    It may save first (``stages.common.grace``) where its workers live on.
    """
    marked = os.environ.get(VARIABLE)
    if marked:
        threading.Thread(target=_watch, args=(marked,), daemon=True, name="guard").start()


def _watch(marked: str) -> None:
    while alive(marked):
        time.sleep(_LOOK_S)
    os.kill(os.getpid(), signal.SIGTERM)
    alone = os.environ.get(RAY) == "1"
    time.sleep(_ALONE_S if alone else grace.seconds(grace.GUARD))
    os._exit(75)
