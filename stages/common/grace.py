"""A told stop saves first: one grace period, passed down every path from the terminal to the worker.

Whoever stops something waits a little longer than what it stops: the worker's driver, the stage's
guard, the flow, the job, Ray.
"""

import contextlib
import itertools
from collections.abc import Mapping

import psutil

from stages.common.variables import whole

RING_S = 5.0
"""Each outer ring waits this much longer than the one within."""
DRIVER, GUARD, FLOW, JOB, RAY = range(5)


def seconds(ring: int = DRIVER, environment: Mapping[str, str] | None = None) -> float:
    """How long ``ring`` waits for what it told to stop: ``REPO_GRACE_SECONDS`` for the driver."""
    return whole("REPO_GRACE_SECONDS", environment=environment) + RING_S * ring


def is_stage(process: psutil.Process) -> bool:
    """Whether a process is ``python -m stages.<name>``: what may save before it ends."""
    with contextlib.suppress(psutil.Error):
        words = process.cmdline()
        return any(a == "-m" and b.startswith("stages.") for a, b in itertools.pairwise(words))
    return False
