"""``repo-pipeline serve``: Prefect's server, a worker and the deployments, on this machine.

Everything listens on loopback. What dies is started again; a flow run whose process died is ended on
the page; everything ends with this process.
"""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

from pipeline import place
from pipeline.environment import AUTH, URL, announce, refuse_bad_prefect, withdraw
from pipeline.process import child_environment
from pipeline.services import HOST, Service, Show, api_of, protect, server
from stages.common.errors import UserError

POOL = "repo-pipeline"
DEPLOYMENTS = "prefect.yaml"
_LOOK_S, _SWEEP_S = 1.0, 5.0


class _Ended(BaseException):
    """The user asked to end: no error, so nothing that suppresses errors may hold it."""


def serve(root: Path, port: int, show: Show) -> None:
    """Serve until interrupted. Raises ``UserError`` outside a project and when the port is taken."""
    if not (root / DEPLOYMENTS).is_file():
        raise UserError(f"{root}: no {DEPLOYMENTS} here; `git checkout {DEPLOYMENTS}`")
    _refuse_taken(port)
    api, auth = api_of(port), protect(port)
    logs = root / os.environ["PREFECT_HOME"] / "logs"
    page = server(port, logs / "server.log")
    worker = Service(["worker", "start", "--pool", POOL, "--type", "process"], logs / "worker.log")
    with _until_told():
        try:
            page.start()
            refuse_bad_prefect()
            page.wait_for(api)
            _prefect("work-pool", "create", POOL, "--type", "process", "--overwrite")
            _prefect("--no-prompt", "deploy", "--all")
            worker.start()
            found = announce(root, api, auth)
            show(f"Prefect's page: http://{HOST}:{port}")
            show(f"the browser asks once for: {auth}")
            if not found:
                show(
                    f"prefect.toml is your own and stays: for the command `prefect` set {URL}={api} "
                    f"and {AUTH} to what the browser asks for"
                )
            if any(os.environ.get(name) for name in place.PROXIES):
                show(f"with a proxy set, `prefect` needs NO_PROXY={HOST}")
            show(
                "run from another terminal here: prefect deployment run repo-pipeline/full --watch"
            )
            show(f"end with Ctrl-C; logs are in {logs}")
            _supervise(page, worker, api, show)
        except (_Ended, KeyboardInterrupt):
            show("ending: runs are stopped and go on from there when they are started again")
        finally:
            withdraw(root)
            worker.stop()
            page.stop()


def _supervise(page: Service, worker: Service, api: str, show: Show) -> None:
    from pipeline.zombies import end_dead_runs

    swept = 0.0
    while True:
        time.sleep(_LOOK_S)
        if page.died():
            page.again(show)
            page.wait_for(api)
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
