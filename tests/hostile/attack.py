"""What another user of the machine and another page of the browser try on a Prefect server of ours.

One attack for both: ``run``'s (tests/hostile/test_server.py), ``serve``'s (tests/e2e/test_served.py).
"""

import base64
import contextlib
import re
from ipaddress import ip_address

import httpx
import psutil
import websockets
from websockets.sync.client import connect

OPEN = {"/api/health", "/api/ready"}
"""What Prefect answers to everybody: "true"."""
SOCKETS = (
    "/events/in",
    "/events/out",
    "/logs/out",
    "/task_runs/subscriptions/scheduled",
    "/work_pools/repo-pipeline/workers/connect",
)
FLOW = {"name": "stolen"}
EVIL = "http://evil.example"


def basic(secret: str) -> dict[str, str]:
    """The header of a credential."""
    return {"Authorization": "Basic " + base64.b64encode(secret.encode()).decode()}


WRONG: tuple[dict[str, str], ...] = (
    {},
    basic("repo:"),
    basic("admin:pass"),
    basic("repo:\xe4"),
    {"Authorization": "Bearer x"},
    {"Authorization": "Basic !"},
    {"Host": "evil.example:4200", "Origin": f"{EVIL}:4200"},  # a name that now leads to loopback
    {"X-Forwarded-For": "127.0.0.1", "X-Original-URL": "/api/health"},
)


def addresses(process: int) -> None:
    """What a process and its children listen at is loopback alone."""
    this = psutil.Process(process)
    for one in (this, *this.children(recursive=True)):
        with contextlib.suppress(psutil.NoSuchProcess):
            for found in one.net_connections(kind="inet"):
                if found.status == psutil.CONN_LISTEN:
                    ip = ip_address(found.laddr.ip.removeprefix("::ffff:"))
                    assert ip.is_loopback, (found, one.cmdline())


def another_user(api: str, every: bool = True) -> None:
    """No route answers without the credential, whatever its method, and none with a wrong one.

    ``every``: try all of Prefect's routes, which takes seconds.
    """
    # A kept connection is closed after 5 s, in which a busy machine answers once.
    once = httpx.Limits(max_keepalive_connections=0)
    with httpx.Client(base_url=api.removesuffix("/api"), limits=once, timeout=60) as client:
        for method, path in _routes() if every else ():
            assert client.request(method, path).status_code in (401, 403), (method, path)
        for headers in WRONG:
            for method, path in (("GET", "/api/admin/settings"), ("POST", "/api/flows/")):
                answer = client.request(method, path, headers=headers, json=FLOW)
                assert answer.status_code in (401, 403, 500), (headers, answer)
                assert "Unauthorized" in answer.text or answer.status_code != 401


def _routes() -> list[tuple[str, str]]:
    """Method and path of everything that Prefect's server has."""
    from prefect.server.api.server import API_ROUTERS

    found = []
    for router in API_ROUTERS:
        for route in router.routes:
            path = "/api" + re.sub(r"{[^}]*}", "0" * 8 + "-0000-0000-0000-" + "0" * 12, route.path)
            methods = sorted(getattr(route, "methods", None) or ())
            found += [(method, path) for method in methods if path not in OPEN]
    assert len(found) > 100
    return found


def another_page(api: str, auth: str) -> None:
    """A page of another origin is not allowed, nor is the browser's stored credential enough."""
    for origin in (EVIL, "null", "http://127.0.0.1:1", "http://localhost", "http://127.0.0.1.evil"):
        asked = {"Origin": origin, "Access-Control-Request-Method": "POST"}
        answers = [
            httpx.options(f"{api}/flows/", headers=asked),
            httpx.post(f"{api}/flows/", json=FLOW, headers={"Origin": origin}),
            # as a browser would send it along: without the token against CSRF
            httpx.post(f"{api}/flows/", json=FLOW, headers={"Origin": origin, **basic(auth)}),
        ]
        for answer in answers:
            assert answer.headers.get("access-control-allow-origin") not in (origin, "*"), answer
        assert [answer.status_code for answer in answers[1:]] == [403, 403] or [
            answer.status_code for answer in answers[1:]
        ] == [401, 403]
    token = httpx.get(f"{api}/csrf-token", params={"client": "t"}, headers=basic(auth)).json()
    stolen = {"Prefect-Csrf-Token": token["token"], "Prefect-Csrf-Client": "other", **basic(auth)}
    assert httpx.post(f"{api}/flows/", json=FLOW, headers=stolen).status_code == 403


def sockets(api: str) -> None:
    """No socket lets anybody in without the credential."""
    for path in SOCKETS:
        for words in ((), ("prefect",)):
            for first in ('{"type": "auth"}', '{"type": "auth", "token": "repo:x"}', "{}"):
                assert not _enters(f"ws{api.removeprefix('http')}{path}", words, first), path


def _enters(address: str, words: tuple[str, ...], first: str) -> bool:
    try:
        with connect(address, subprotocols=words or None, origin=EVIL, proxy=None) as socket:
            socket.send(first)
            socket.recv(timeout=10)
            return True
    except websockets.exceptions.WebSocketException:
        return False
