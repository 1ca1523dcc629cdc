"""Where a run is sent: one interface, two ways behind it (Ray's Jobs API, Slurm's commands)."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from stages.common.errors import TryAgain

ENDED = ("SUCCEEDED", "FAILED", "STOPPED")
SILENCE_S = 60.0
"""After so long without a line the caller looks whether job and connection are alive."""


@dataclass(frozen=True)
class JobInfo:
    """A job as the target knows it."""

    id: str
    status: str
    """PENDING, RUNNING, SUCCEEDED, FAILED or STOPPED."""
    message: str
    metadata: dict[str, str]
    exit_code: int | None
    started_ms: int | None
    ended_ms: int | None

    @property
    def ended(self) -> bool:
        """Whether it will not run any more."""
        return self.status in ENDED


class Unreachable(TryAgain):
    """Nobody answers at the address just now."""


class Target(Protocol):
    """What submit, status, logs, cancel and the page ask of a place that runs jobs."""

    @property
    def address(self) -> str:
        """``http(s)://host:port`` of a Ray dashboard, or ``slurm:/shared/folder``."""
        ...

    def check(self) -> None:
        """Raise a ``UserError`` unless the place answers, fits this project and lets us in."""
        ...

    def find(self, job: str) -> JobInfo | None:
        """A job by its name; none where the place does not know it."""
        ...

    def list(self) -> list[JobInfo]:
        """Jobs that were submitted, the oldest first."""
        ...

    def upload(self, name: str, content: bytes) -> str:
        """Hand over a zip unless it is there; returns what ``submit`` calls it."""
        ...

    def submit(
        self, job: str, entrypoint: str, package: str, metadata: dict[str, str], grace_s: float
    ) -> None:
        """Start a job in the package; asked to stop, it has ``grace_s`` to save."""
        ...

    def stop(self, job: str) -> None:
        """Ask a job, and all it started, to stop."""
        ...

    def logs(self, job: str) -> str:
        """Everything the job has printed."""
        ...

    def tail(self, job: str) -> Iterator[str]:
        """Pieces of the log from its beginning, until the job ends or is long silent."""
        ...
