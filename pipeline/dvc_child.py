"""A command of DVC as a process of its own, from one that has imported DVC (``pipeline.dvc_host``)."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TextIO

import psutil

from pipeline.dvc_host import LENGTH
from stages.common.errors import TryAgain

_lock = threading.Lock()
_host: "_Host | None" = None


class _Host:
    """The process that forks, and our end of its socket."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "pipeline.dvc_host", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                cwd=Path(__file__).parents[1],  # where the module is found, whatever is installed
                start_new_session=True,  # a signal to our group is for us
            )
        self._socket, self.owner = ours, os.getpid()

    def ask(self, request: bytes, descriptors: Sequence[int]) -> None:
        """Send a request; raises ``OSError`` where nobody reads any more."""
        socket.send_fds(self._socket, [len(request).to_bytes(LENGTH, "big")], descriptors)
        self._socket.sendall(request)

    def close(self) -> None:
        """Leave no process behind; its forks live on."""
        self._socket.close()
        self.process.kill()
        self.process.wait()


def _ask(request: bytes, descriptors: Sequence[int]) -> None:
    """Send a request to the host of this process, a new one where there is none."""
    global _host
    with _lock:
        if _host is not None and _host.owner == os.getpid():
            try:
                _host.ask(request, descriptors)
                return
            except OSError:  # it was killed
                _host.close()
        _host = _Host()
        _host.ask(request, descriptors)


class DvcChild:
    """``dvc ARGUMENTS`` in a session of its own; named as in ``subprocess.Popen``."""

    pid: int
    process: psutil.Process | None
    """Knows when the pid is another's: the host reaps it, at once; none where that was before us."""
    stdout: TextIO
    """Standard output and error, line by line."""

    def __init__(self, arguments: Sequence[str], cwd: Path, environment: Mapping[str, str]) -> None:
        """Start it; raises ``TryAgain`` where the host ended before it could."""
        request = {"arguments": arguments, "cwd": str(cwd), "environment": dict(environment)}
        reading, output = os.pipe()
        told, telling = os.pipe()
        self.stdout = os.fdopen(reading, encoding="utf-8", errors="replace")
        self._told = os.fdopen(told, encoding="ascii")
        try:
            _ask(json.dumps(request).encode(), (output, telling))
        except OSError as error:
            self._close()
            raise TryAgain(f"DVC's process is gone: {error.strerror}") from None
        finally:
            os.close(output)
            os.close(telling)
        said = self._told.readline()
        if not said:
            self._close()
            raise TryAgain("DVC's process ended before it began")
        self.pid = int(said)
        self.process = None
        with contextlib.suppress(psutil.NoSuchProcess):
            self.process = psutil.Process(self.pid)

    def wait(self) -> int:
        """The exit code, negative for a signal; ``SIGKILL``'s where the host was killed itself."""
        said = self._told.readline()
        while not said and self.process and _runs(self.process):
            time.sleep(0.1)
        self._close()
        return int(said) if said else -signal.SIGKILL

    def _close(self) -> None:
        self.stdout.close()
        self._told.close()


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
