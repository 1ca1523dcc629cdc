"""Ray's Jobs API over HTTP(S): the few calls that are needed, each with a time-out.

Not Ray's own client: that imports all of Ray, has no time-outs and reads its token once a process.
"""

import contextlib
import json
import os
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from pipeline.place import LOOPBACK, refuse_bad_network
from pipeline.remote.target import SILENCE_S, JobInfo, Unreachable
from stages.common.errors import UserError
from stages.common.ray_session import TOKEN_FILE

TIMEOUT = httpx.Timeout(30.0, connect=10.0)
UPLOAD_TIMEOUT = httpx.Timeout(600.0, connect=10.0)
CLEAR = "REPO_TOKEN_IN_CLEAR"
"""1: send the token over http:// to another host."""
HEADERS = "RAY_JOB_HEADERS"
"""Ray's own variable: headers that a proxy before the dashboard wants, as a JSON object."""
TOKEN_HELP = (
    "put it in RAY_AUTH_TOKEN, in a file of mode 0600 that RAY_AUTH_TOKEN_PATH names, "
    "or in ~/.ray/auth_token"
)


class Jobs:
    """The jobs of the cluster whose dashboard is at ``address``."""

    def __init__(self, address: str) -> None:
        parts = urlsplit(address)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UserError(
                f"address is {address!r}: give the Ray dashboard's, http(s)://host:8265"
            )
        if parts.username or parts.password:
            raise UserError(f"address names a user or password; {TOKEN_HELP}")
        self.address = address.rstrip("/")
        refuse_bad_network()
        self.headers = _headers()
        open_to_all = parts.scheme == "http" and parts.hostname not in LOOPBACK
        if self.headers and open_to_all and os.environ.get(CLEAR) != "1":
            what = "the token" if "authorization" in self.headers else f"what {HEADERS} holds"
            raise UserError(
                f"address is {address!r}: {what} would go in clear; use https:// or a "
                f"tunnel (ssh -L 8265:localhost:8265), or set {CLEAR}=1 on a network that you trust"
            )
        self._http = httpx.Client(base_url=self.address, headers=self.headers, timeout=TIMEOUT)

    def check(self) -> None:
        """Raise a ``UserError`` unless a Ray of our version answers and lets us in."""
        try:
            answer = self._ask("GET", "/api/version")
            theirs = str(answer.json()["ray_version"])
        except Unreachable as error:
            raise UserError(f"{error}; is the address right?") from None
        except (ValueError, KeyError, TypeError):
            raise UserError(f"{self.address}: no Ray dashboard answers there") from None
        ours = version("ray")
        if theirs.split(".")[:2] != ours.split(".")[:2]:
            raise UserError(
                f"{self.address} runs Ray {theirs}, this project {ours}; "
                "give the cluster an image of infra/docker, or install its version here"
            )

    def find(self, job: str) -> JobInfo | None:
        """A job by its submission id; none where the cluster does not know it."""
        answer = self._ask("GET", f"/api/jobs/{job}", missing_ok=True)
        return None if answer.status_code == 404 else _info(answer.json())

    def list(self) -> list[JobInfo]:
        """Jobs that were submitted, the oldest first."""
        rows = [row for row in self._ask("GET", "/api/jobs/").json() if row.get("submission_id")]
        return sorted((_info(row) for row in rows), key=lambda job: job.started_ms or 0)

    def upload(self, name: str, content: bytes) -> str:
        """Hand the cluster a package unless it has it; returns its URI."""
        path = f"/api/packages/gcs/{name}"
        if self._ask("GET", path, missing_ok=True).status_code == 404:
            self._ask("PUT", path, content=content, timeout=UPLOAD_TIMEOUT)
        return f"gcs://{name}"

    def submit(
        self, job: str, entrypoint: str, package: str, metadata: dict[str, str], grace_s: float
    ) -> None:
        """Start a job; asked to stop, it has ``grace_s`` to save before Ray kills it (Ray's own: 3)."""
        self._ask(
            "POST",
            "/api/jobs/",
            json={
                "submission_id": job,
                "entrypoint": entrypoint,
                "runtime_env": {
                    "working_dir": package,
                    "env_vars": {"RAY_JOB_STOP_WAIT_TIME_S": f"{grace_s:.0f}"},
                },
                "metadata": metadata,
            },
        )

    def stop(self, job: str) -> None:
        """Ask Ray to stop a job and all it started."""
        self._ask("POST", f"/api/jobs/{job}/stop")

    def logs(self, job: str) -> str:
        """Everything the job has printed."""
        return str(self._ask("GET", f"/api/jobs/{job}/logs").json()["logs"])

    def tail(self, job: str) -> Iterator[str]:
        """Pieces of the log from its beginning, as they come, until the job ends or is long silent.

        Raises ``Unreachable`` when the connection is lost; one that died in silence ends the pieces.
        """
        from websockets.exceptions import (
            ConnectionClosedError,
            ConnectionClosedOK,
            InvalidMessage,
            InvalidStatus,
        )
        from websockets.sync.client import connect

        url = f"ws{self.address.removeprefix('http')}/api/jobs/{job}/logs/tail"
        try:
            socket = connect(
                url,
                additional_headers=self.headers,
                open_timeout=10,
                compression=None,  # with it Ray 2.60 hangs up before the first line
                ping_interval=None,
                max_size=None,
            )
        except (OSError, InvalidStatus, InvalidMessage) as error:
            raise Unreachable(f"{self.address}: {_reason(error)}") from None
        with socket:
            try:
                while True:
                    yield str(socket.recv(timeout=SILENCE_S))
            except (ConnectionClosedOK, TimeoutError):
                return
            except (OSError, ConnectionClosedError) as error:
                raise Unreachable(f"{self.address}: {_reason(error)}") from None

    def _ask(self, method: str, path: str, missing_ok: bool = False, **more: Any) -> httpx.Response:
        try:
            answer = self._http.request(method, path, **more)
        except httpx.TransportError as error:
            raise Unreachable(f"{self.address}: nobody answers ({_reason(error)})") from None
        if answer.status_code == 401:
            raise UserError(f"{self.address}: 401, it wants a token; {TOKEN_HELP}")
        if answer.status_code == 403:
            raise UserError(f"{self.address}: 403, it refuses our token; {TOKEN_HELP}")
        if answer.status_code in (502, 503, 504):
            raise Unreachable(f"{self.address}: HTTP {answer.status_code}")
        if answer.is_error and not (missing_ok and answer.status_code == 404):
            raise RuntimeError(
                f"{self.address}{path}: HTTP {answer.status_code}: {_last_line(answer.text)}"
            )
        return answer


def _info(row: dict[str, Any]) -> JobInfo:
    return JobInfo(
        id=str(row.get("submission_id")),
        status=str(row["status"]),
        message=str(row.get("message") or ""),
        metadata={str(k): str(v) for k, v in (row.get("metadata") or {}).items()},
        exit_code=row.get("driver_exit_code"),
        started_ms=row.get("start_time"),
        ended_ms=row.get("end_time"),
    )


def _headers() -> dict[str, str]:
    """Of every request, names in small letters: the token's, and those of ``RAY_JOB_HEADERS``.

    A proxy's own ``Authorization`` takes the token's place, as with Ray's client.
    """
    token = _token()
    found = {"authorization": f"Bearer {token}"} if token else {}
    text = os.environ.get(HEADERS, "").strip()
    if not text:
        return found
    try:
        given = json.loads(text)
        more = {name.lower(): value for name, value in given.items()}
        httpx.Headers(more).raw  # noqa: B018 - names and values that no header can have
        assert all(isinstance(value, str) and value.isprintable() for value in more.values())
    except (ValueError, AttributeError, TypeError, AssertionError):
        # The value may hold a credential: it is not repeated.
        raise UserError(f'{HEADERS} is no JSON object of strings, {{"name": "value"}}') from None
    return {**found, **more}


def _token() -> str | None:
    """The token where Ray itself looks for it; a variable goes before a file."""
    if token := os.environ.get("RAY_AUTH_TOKEN", "").strip():
        return token
    named = os.environ.get("RAY_AUTH_TOKEN_PATH")
    file = Path(named) if named else TOKEN_FILE
    try:
        return file.read_text(encoding="utf-8").strip() or None
    except FileNotFoundError:
        if named:
            raise UserError(f"RAY_AUTH_TOKEN_PATH is {named!r}: no such file") from None
        return None
    except OSError as error:
        raise UserError(f"{file}: {error.strerror}") from None


def _reason(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__


def _last_line(text: str) -> str:
    """Of an answer that may be a Python trace or JSON."""
    with contextlib.suppress(ValueError, AttributeError):
        text = str(json.loads(text).get("msg", text))
    lines = [line for line in text.strip().splitlines() if line.strip()]
    return lines[-1][:300] if lines else "no message"
