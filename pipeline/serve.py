"""``repo-pipeline serve``: Prefect's server, a worker and the deployments, on this machine.

Everything listens on loopback. What dies is started again; a flow run whose process died is ended on
the page; everything ends with this process.
"""

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

from pipeline.environment import announce, withdraw
from pipeline.process import child_environment, stop
from stages.common import guard
from stages.common.errors import UserError

HOST = "127.0.0.1"
POOL = "repo-pipeline"
START_S = 120.0
"""Prefect's server takes 4 s, 13 s with a new database; 2 busy cores take longer."""
RESTARTS = 5
"""Times that a server or worker which ends by itself is started again."""
_LOOK_S, _SWEEP_S = 1.0, 5.0


class _Ended(Exception):
    """The user asked to end."""


def serve(root: Path, port: int, show: Callable[[str], None]) -> None:
    """Serve until interrupted. Raises ``UserError`` when the port is taken."""
    _refuse_taken(port)
    api = f"http://{HOST}:{port}/api"
    os.environ["PREFECT_API_URL"] = api
    logs = root / os.environ["PREFECT_HOME"] / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    server = _Service(["server", "start", "--host", HOST, "--port", str(port)], logs / "server.log")
    worker = _Service(["worker", "start", "--pool", POOL, "--type", "process"], logs / "worker.log")
    with _until_told():
        try:
            server.start()
            _wait(api, server)
            _prefect("work-pool", "create", POOL, "--type", "process", "--overwrite")
            _prefect("--no-prompt", "deploy", "--all")
            worker.start()
            announce(root, api)
            show(f"Prefect's page: http://{HOST}:{port}")
            show(
                "run from another terminal here: prefect deployment run repo-pipeline/full --watch"
            )
            show("end with Ctrl-C; logs are in " + str(logs))
            _supervise(server, worker, api, show)
        except (_Ended, KeyboardInterrupt):
            show("ending: runs are stopped and go on from there when they are started again")
        finally:
            withdraw(root)
            worker.stop()
            server.stop()


class _Service:
    """A long-lived ``prefect`` command that is started again when it ends by itself."""

    def __init__(self, arguments: list[str], log: Path) -> None:
        self._arguments, self._log = arguments, log
        self._child: subprocess.Popen[str] | None = None
        self._restarts = 0

    @property
    def name(self) -> str:
        return self._arguments[0]

    def start(self) -> None:
        with open(self._log, "a", encoding="utf-8") as log:
            self._child = subprocess.Popen(
                [sys.executable, "-m", "prefect", *self._arguments],
                env={**child_environment(), guard.VARIABLE: guard.mark()},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                text=True,
                start_new_session=True,
                preexec_fn=_die_with_parent,
            )

    def died(self) -> bool:
        return self._child is not None and self._child.poll() is not None

    def again(self, show: Callable[[str], None]) -> None:
        self._restarts += 1
        if self._restarts > RESTARTS:
            raise RuntimeError(f"Prefect's {self.name} ends again and again; see {self._log}")
        show(f"Prefect's {self.name} ended; started again")
        if self._child is not None and self.name == "server":
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._child.pid, signal.SIGKILL)  # what it started holds the port
        self.start()

    def last_line(self) -> str:
        lines = self._log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return lines[-1] if lines else "no output"

    def stop(self) -> None:
        if self._child is not None:
            stop(self._child)


def _supervise(server: _Service, worker: _Service, api: str, show: Callable[[str], None]) -> None:
    from pipeline.zombies import end_dead_runs

    swept = 0.0
    while True:
        time.sleep(_LOOK_S)
        if server.died():
            server.again(show)
            _wait(api, server)
        if worker.died():
            worker.again(show)
        if time.monotonic() - swept > _SWEEP_S:
            swept = time.monotonic()
            with contextlib.suppress(Exception):  # a server that is away is asked again
                for line in end_dead_runs():
                    show(line)


def _refuse_taken(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise UserError(
                f"--port {port}: {error.strerror}; another server may run there, choose another port"
            ) from None


def _wait(api: str, server: _Service) -> None:
    until = time.monotonic() + START_S
    while time.monotonic() < until:
        with (
            contextlib.suppress(urllib.error.URLError, OSError),
            urllib.request.urlopen(f"{api}/health", timeout=2) as answer,
        ):
            if answer.status == 200:
                return
        if server.died():
            raise RuntimeError(f"Prefect's server did not start: {server.last_line()}")
        time.sleep(0.3)
    raise RuntimeError(f"Prefect's server did not answer within {START_S:.0f} s")


def _prefect(*arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "prefect", *arguments],
        env=child_environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        lines = (done.stdout + done.stderr).strip().splitlines()
        raise RuntimeError(f"prefect {' '.join(arguments)}: {lines[-1] if lines else 'no message'}")


@contextlib.contextmanager
def _until_told() -> Iterator[None]:
    def end(number: int, frame: FrameType | None) -> None:
        raise _Ended

    before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _die_with_parent() -> None:
    """Have the kernel end this child when its parent dies, even by kill -9 (Linux)."""
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGTERM)
