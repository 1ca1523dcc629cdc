"""One Ray for a whole run: the one that ``RAY_ADDRESS`` names, else a local one of this process."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from stages.common import guard
from stages.common.ray_session import session


@contextmanager
def shared_ray(wanted: bool = True) -> Iterator[dict[str, str]]:
    """Yield the variables by which a stage's process joins the run's Ray; none is started unwanted."""
    if not wanted:
        yield {}
        return
    own = "" if os.environ.get("RAY_ADDRESS") else "1"
    with session() as address:
        names = [name for name in os.environ if name.startswith("RAY_")]
        yield {**{name: os.environ[name] for name in names}, "RAY_ADDRESS": address, guard.RAY: own}
