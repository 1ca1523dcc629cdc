"""Which flow run is which process: what lets ``serve`` tell a run that works from one that died.

Prefect 3.8 leaves a run in state Running when its process is killed; nobody else would ever end it.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from stages.common import guard
from stages.common.files import replacing


def folder() -> Path:
    """Where the processes of flow runs are written down."""
    return Path(os.environ["PREFECT_HOME"]) / "live"


@contextlib.contextmanager
def recorded(run: str) -> Iterator[None]:
    """Say that this process is flow run ``run`` until the block ends."""
    with replacing(folder() / run) as temporary:
        temporary.write_text(guard.mark())
    try:
        yield
    finally:
        (folder() / run).unlink(missing_ok=True)


def is_gone(run: str) -> bool:
    """Whether the process of flow run ``run`` has ended without saying so."""
    try:
        return not guard.alive((folder() / run).read_text())
    except FileNotFoundError:
        return False


def forget_gone() -> None:
    """Drop the records of processes that are gone."""
    for record in folder().glob("*-*"):
        if is_gone(record.name):
            record.unlink(missing_ok=True)
