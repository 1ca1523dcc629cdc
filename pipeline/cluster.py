"""One Ray for a whole run: the one that ``RAY_ADDRESS`` names, else a local one of this process."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from stages.common import guard
from stages.common.errors import UserError
from stages.common.ray_session import session

WAIT_S = 20.0
"""For a head to take a connection."""


@contextmanager
def shared_ray(wanted: bool = True) -> Iterator[dict[str, str]]:
    """Yield the variables by which a stage's process joins the run's Ray; none is started unwanted."""
    if not wanted:
        yield {}
        return
    address = os.environ.get("RAY_ADDRESS", "")
    _refuse_silent(address)
    own = "" if address else "1"
    with session() as address:
        names = [name for name in os.environ if name.startswith("RAY_")]
        yield {**{name: os.environ[name] for name in names}, "RAY_ADDRESS": address, guard.RAY: own}


def _refuse_silent(address: str) -> None:
    """Raise ``UserError`` where nobody listens at ``RAY_ADDRESS``: Ray itself would try for minutes."""
    if address in ("", "auto", "local"):
        return
    host, _, port = address.rpartition(":")
    try:
        if "/" in host or not port.isdigit():
            raise ValueError("it is HOST:PORT of a head, 6379 by default")
        socket.create_connection((host.strip("[]"), int(port)), timeout=WAIT_S).close()
    except (OSError, ValueError, OverflowError) as error:
        raise UserError(
            f"RAY_ADDRESS is {address!r}: no Ray there ({error}); correct it, or unset it"
        ) from None
