"""A run on a cluster, as the laptop sees it: submitted or re-attached to, its events, its end.

What ``repo-pipeline submit --wait`` prints and what the laptop's Prefect flow turns into tasks.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

from pipeline.cluster_file import ClusterFile
from pipeline.remote import follow
from pipeline.remote.events import Event
from pipeline.remote.places import place
from pipeline.remote.submission import Request, Submission, outcome, submit
from pipeline.remote.target import JobInfo, Target


class Mirror:
    """One job, followed."""

    def __init__(self, jobs: Target, submission: Submission, attached: JobInfo | None) -> None:
        self.jobs, self.submission, self.attached = jobs, submission, attached
        self.last_line = ""
        """The line of the run's last own event: how it ended."""

    def events(
        self,
        show: Callable[[str], None] = lambda line: None,
        lost: Callable[[str], None] = lambda line: None,
    ) -> Iterator[Event]:
        """Events from the run's beginning to its end; the log's other lines go to ``show``."""
        found = follow.lines(self.jobs, self.submission.job, lost)
        for happened in follow.events(found, show):
            if happened.stage is None:
                self.last_line = happened.line
            yield happened

    def wait_until_checked(self) -> int | None:
        """Wait until the job has checked what only the cluster can know.

        Returns none once it runs, or the exit code of a job that has ended (``last_line`` says how).
        """
        for happened in self.events():
            if happened.stage is None and happened.state == "running":
                return None
        return self.code()

    def code(self) -> int:
        """Exit code of the job, which has ended or is about to: 0, 1, 2 or 75."""
        info = follow.ended(self.jobs, self.submission.job)
        if not self.last_line:
            self.last_line = info.message.strip().partition("\n")[0]
        return outcome(info)

    def cancel(self) -> None:
        """Stop the job and all it started."""
        self.jobs.stop(self.submission.job)
        follow.ended(self.jobs, self.submission.job)


def mirror(
    root: Path,
    address: str,
    targets: list[str],
    cluster: ClusterFile | None = None,
    profile: str | None = None,
    overrides: list[str] | None = None,
    dirty: bool = False,
    force: bool = False,
) -> Mirror:
    """Submit the run, or attach to the one that is there; a mistake is a ``UserError``."""
    where = cluster or ClusterFile()
    jobs, where = place(address, where)
    request = Request.of(root, targets, where, profile, overrides or (), dirty, force)
    jobs.check()
    return Mirror(jobs, *submit(jobs, request))
