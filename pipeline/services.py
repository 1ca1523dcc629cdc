"""Prefect's server and worker as processes of ours: on loopback, started again, never left behind."""

import contextlib
import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

from pipeline.environment import AUTH, URL, refuse_bad_prefect
from pipeline.process import child_environment, stop
from stages.common import guard
from stages.common.errors import TryAgain, UserError
from stages.common.ray_start import load

HOST = "127.0.0.1"
START_S = 600.0
"""Prefect's server takes 4 s, 13 s with a new database; at load 28 on 2 cores 120 s were too few."""
START_OTHER_S = 60.0
"""For one that somebody else runs to answer."""
RESTARTS = 5
"""Times that a service which ends by itself is started again."""

Show = Callable[[str], None]


class Service:
    """A long-lived ``prefect`` command that is started again when it ends by itself."""

    def __init__(self, arguments: list[str], log: Path) -> None:
        self._arguments, self._log = arguments, log
        self._child: subprocess.Popen[str] | None = None
        self._restarts = 0

    def start(self) -> None:
        """Start it in a session of its own: Ctrl-C in the terminal is for us, not for it."""
        self._log.parent.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "prefect", *self._arguments]
        with open(self._log, "a", encoding="utf-8") as log:
            self._child = subprocess.Popen(
                [sys.executable, "-m", "pipeline.leash", *command],
                env={**child_environment(), guard.VARIABLE: guard.mark()},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                text=True,
                start_new_session=True,
            )

    def died(self) -> bool:
        """Whether it ended by itself."""
        return self._child is not None and self._child.poll() is not None

    def again(self, show: Show) -> None:
        """Start it again and say so; raises ``RuntimeError`` when it ends again and again."""
        self._restarts += 1
        name = self._arguments[0]
        if self._restarts > RESTARTS:
            raise RuntimeError(f"Prefect's {name} ends again and again; see {self._log}")
        show(f"Prefect's {name} ended; started again")
        self.start()

    def wait_for(self, api: str) -> None:
        """Wait until the server answers at ``api``."""
        until = time.monotonic() + START_S
        while time.monotonic() < until:
            with (
                contextlib.suppress(urllib.error.URLError, OSError),
                urllib.request.urlopen(f"{api}/health", timeout=2) as answer,
            ):
                if answer.status == 200:
                    return
            if self.died():
                raise RuntimeError(
                    f"Prefect's server did not start: {self._last_line()}; see {self._log}"
                )
            time.sleep(0.3)
        raise TryAgain(
            f"the machine is too busy: {load()}; Prefect's server did not answer in {START_S:.0f} s"
        )

    def stop(self) -> None:
        """End it and all it started."""
        if self._child is not None:
            stop(self._child)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._child.pid, signal.SIGKILL)

    def _last_line(self) -> str:
        lines = self._log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return lines[-1] if lines else "no output"


def api_of(port: int) -> str:
    """Address of a server's API."""
    return f"http://{HOST}:{port}/api"


def protect(port: int) -> str:
    """Set the variables of a server at ``port`` and of all that talk to it; returns the credential.

    Only who has the random credential is let in, and a browser only from the server's own page.
    """
    auth = f"repo:{secrets.token_urlsafe(24)}"
    os.environ[URL], os.environ[AUTH] = api_of(port), auth
    os.environ["PREFECT_SERVER_API_AUTH_STRING"] = auth
    os.environ["PREFECT_SERVER_CSRF_PROTECTION_ENABLED"] = "true"
    origins = f"http://{HOST}:{port},http://localhost:{port}"
    os.environ["PREFECT_SERVER_CORS_ALLOWED_ORIGINS"] = origins
    return auth


def server(port: int, log: Path, *options: str) -> Service:
    """Prefect's server on loopback."""
    return Service(["server", "start", "--host", HOST, "--port", str(port), *options], log)


@contextlib.contextmanager
def own_server(show: Show) -> Iterator[None]:
    """A server for one run, unless ``$PREFECT_API_URL`` names one; a dead one comes back.

    Prefect would start one by itself, which a kill of the run leaves behind.
    """
    if api := os.environ.get(URL):
        _refuse_silent(api)
        yield
        return
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port = int(probe.getsockname()[1])
    log = Path(os.environ["PREFECT_HOME"]) / "logs" / "run-server.log"
    before = dict(os.environ)
    protect(port)
    running, over = server(port, log, "--no-services", "--no-ui"), threading.Event()
    running.start()
    try:
        refuse_bad_prefect()  # the server reads the same
        running.wait_for(api_of(port))
        threading.Thread(target=_keep, args=(running, over, show), daemon=True).start()
        yield
    finally:
        over.set()
        running.stop()
        for name in [name for name in os.environ if name.startswith("PREFECT_")]:
            os.environ.pop(name)
        os.environ.update({k: v for k, v in before.items() if k.startswith("PREFECT_")})


def _refuse_silent(api: str) -> None:
    """Raise ``UserError`` where nothing listens at the user's own address.

    Connected and no more: certificates and credentials are Prefect's to know.
    """
    try:
        place = urllib.parse.urlsplit(api)
        port = place.port or {"http": 80, "https": 443}[place.scheme]
        socket.create_connection((place.hostname or "", port), timeout=START_OTHER_S).close()
    except KeyError:
        raise UserError(f"{URL} is {api!r}: no address; give http(s)://HOST:PORT/api") from None
    except (OSError, ValueError) as error:
        raise UserError(
            f"{URL} is {api!r}: no server answers there ({error}); start it, or unset the variable"
        ) from None


def _keep(running: Service, over: threading.Event, show: Show) -> None:
    while not over.wait(1.0):
        if running.died() and not over.is_set():
            running.again(show)
