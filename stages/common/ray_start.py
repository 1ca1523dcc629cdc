"""A local Ray's start, on a busy machine too: tried again with pauses, and nothing of a try is left.

Ray gives its processes 30 s, a literal in ``ray/_private/node.py``. At a load of ten per core they are
not enough; a later try often passes.
"""

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from stages.common import ray_host
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


@contextlib.contextmanager
def local_ray(**settings: Any) -> Iterator[str]:
    """Yield the address of a Ray of this machine; it ends with the block, or with this process.

    Raises:
        TryAgain: It did not start in ``PATIENCE`` seconds; the line names load and cores.
        RuntimeError: What Ray said, where that has nothing to do with time.
    """
    host, address = _start_patiently(settings)
    try:
        yield address
    finally:
        _end(host)


def _start_patiently(settings: dict[str, Any]) -> tuple[subprocess.Popen[str], str]:
    began, tries = time.monotonic(), 0
    while True:
        host, answer = _start(settings)
        if address := answer.get("address"):
            return host, address
        error = answer.get("error") or f"its process ended with code {host.returncode}"
        if not is_late(error):
            raise RuntimeError(f"Ray did not start: {error}")
        tries += 1
        pause = PAUSES[min(tries, len(PAUSES)) - 1]
        if time.monotonic() - began + pause > PATIENCE:
            raise TryAgain(f"the machine is too busy: {load()}; Ray did not start in {tries} tries")
        say(f"Ray did not start: {load()}; try {tries + 1} in {pause:.0f} s")
        time.sleep(pause)


def _start(settings: dict[str, Any]) -> tuple[subprocess.Popen[str], dict[str, str]]:
    """Start a host (``ray_host``) and hear what became of it; one without a Ray has ended."""
    # -P: its own folder, ours, would stand before the standard library.
    python = [sys.executable, "-P", "-W", "ignore"]
    command = [*python, str(Path(ray_host.__file__)), json.dumps(settings)]
    host = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    try:
        assert host.stdout is not None
        answer = json.loads(host.stdout.readline() or "{}")
    except BaseException:  # told to stop meanwhile
        _end(host, wait_s=0)
        raise
    if "address" not in answer:
        _end(host)
    return host, answer


def _end(host: subprocess.Popen[str], wait_s: float = 2 * ray_host.END_S) -> None:
    """End a host and its Ray in order, else by force; nothing of them is left."""
    family = []
    with contextlib.suppress(psutil.Error):
        family = psutil.Process(host.pid).children(recursive=True)
    try:
        with contextlib.suppress(subprocess.TimeoutExpired):
            host.communicate(timeout=wait_s)  # closes its input
    finally:
        host.kill()
        host.wait()
        for process in family:
            with contextlib.suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(family, timeout=10)


def is_late(error: str) -> bool:
    """Whether Ray's error says that it waited in vain for a process of its own."""
    return any(words in error.lower() for words in LATE)


def load() -> str:
    """How busy this machine is: ``load 17 on 2 cores``."""
    return f"load {os.getloadavg()[0]:.0f} on {os.cpu_count()} cores"


def say(line: str) -> None:
    """Tell whoever waits; the line goes to stderr at once."""
    print(line, file=sys.stderr, flush=True)
