"""A run to be sent: its identity, the attempts at it, and what is known of them on this machine."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from platform import python_version
from typing import Any

from pipeline import check, project
from pipeline.cluster_file import ClusterFile
from pipeline.overrides import compose
from pipeline.remote import own
from pipeline.remote.package import Tree
from pipeline.remote.remotes import described
from pipeline.remote.target import JobInfo, Target
from pipeline.use import PARAMS, profiles
from stages.common import grace
from stages.common.errors import DONE, FAILED, TRY_AGAIN, UserError
from stages.common.files import read_json, write_json
from stages.common.reading import read_yaml
from stages.common.runs import root as runs_root

ENTRYPOINT = "sh pipeline/remote/start.sh"
LABEL = "repo-pipeline"
"""Metadata key that marks our jobs; its value is the run."""


@dataclass(frozen=True)
class Submission:
    """A run as the laptop remembers it (``$REPO_RUNS/remote/<run>.json``)."""

    run: str
    """``<profile>-<hash>``, the same for the same commit, params and targets."""
    job: str
    """The attempt at it that is followed: ``<run>-<n>``."""
    address: str
    commit: str
    targets: tuple[str, ...]
    submitted: str


@dataclass(frozen=True)
class Request:
    """All that is sent, checked before the network is touched."""

    tree: Tree
    params: str
    targets: tuple[str, ...]
    wish: dict[str, Any]
    run: str
    own: tuple[Path, ...] = ()
    """DVC files of the user's model and documents (``pipeline.remote.own``)."""

    @classmethod
    def of(
        cls,
        root: Path,
        targets: Sequence[str],
        cluster: ClusterFile,
        profile: str | None = None,
        overrides: Sequence[str] = (),
        dirty: bool = False,
        force: bool = False,
    ) -> "Request":
        """Check everything that can be wrong on this side; a mistake is a ``UserError``."""
        from pipeline.estimate.view import project_with
        from pipeline.graph import read_graph

        file = root / PARAMS
        notes: list[str] = []
        params = compose(root, profile, overrides, notes)
        seen = check.seen_there(check.read(root, params), root, cluster)
        check.say(check.first(replace(seen, elsewhere=True), targets))
        check.tell(notes)
        with project_with(root, params) as folder:
            graph = read_graph(folder)
            needed = own.inputs(graph, graph.select(targets), seen.params)
        ours = profile or (file.is_file() and file.read_text("utf-8") in profiles().values())
        tree = Tree(root, dirty, aside=(PARAMS,) if ours else ())
        tree.check_size()
        brought = own.to_send(root, needed, seen.params)
        remote = described(root)
        label = str(_label(params, folder=root))
        run = f"{label}-{digest(tree.identity, params, targets, force)}"
        wish = {
            "run": run,
            "commit": tree.commit,
            "tree": tree.tree,
            "targets": list(targets),
            "force": force,
            "remote": remote,
            "runs": cluster.runs,
            "environment": cluster.environment,
            "ray": version("ray"),
            "python": python_version(),
        }
        return cls(tree, params, tuple(targets), wish, run, tuple(brought))


def digest(tree: str, params: str, targets: Sequence[str], force: bool) -> str:
    """What a run's name ends with: a hash of all that identifies it (``Tree.identity``)."""
    identity = json.dumps([tree, params, sorted(targets), force])
    return hashlib.sha256(identity.encode()).hexdigest()[:12]


def submit(jobs: Target, request: Request) -> tuple[Submission, JobInfo | None]:
    """Start the run, or attach to the attempt at it that is there; returns that one if it is.

    An attempt that failed or was stopped is followed by a new one, which goes on where it was.
    """
    attempt = 1
    while found := jobs.find(f"{request.run}-{attempt}"):
        if found.status in ("PENDING", "RUNNING", "SUCCEEDED"):
            return _remember(jobs, request, found.id), found
        attempt += 1
    job = f"{request.run}-{attempt}"
    own.push(request.tree.root, request.own)
    package = jobs.upload(*request.tree.package(request.params, request.wish))
    metadata = {LABEL: request.run, "commit": request.tree.commit, "attempt": str(attempt)}
    wait = grace.seconds(grace.RAY, request.wish["environment"])
    jobs.submit(job, ENTRYPOINT, package, metadata, wait)
    return _remember(jobs, request, job), None


def known(run: str | None) -> Submission:
    """A run that was submitted from here, by its name or a job's; none: the last one."""
    folder = _records()
    if run is None:
        found = sorted(folder.glob("*.json"), key=lambda file: file.stat().st_mtime)
        if not found:
            if away := project.elsewhere(project.working()):
                raise UserError(away.line)
            raise UserError(
                "no run was submitted from here and none was started; name one: `repo-pipeline status`"
            )
        return _read(found[-1])
    for name in (run, run.rpartition("-")[0]):
        if name and (folder / f"{name}.json").is_file():
            return _read(folder / f"{name}.json")
    raise UserError(f"run {run!r}: not submitted from here; give --address or --cluster too")


def outcome(job: JobInfo) -> int:
    """Exit code of a job that ended: its own, where it had the time to give one."""
    if job.status == "SUCCEEDED":
        return DONE
    if job.status == "STOPPED":
        return TRY_AGAIN
    if (job.exit_code or 0) < 0 or job.exit_code in (137, 143):
        return TRY_AGAIN  # the driver was killed
    if job.exit_code is None:
        return TRY_AGAIN  # Ray lost the job's supervisor: a node that went
    return job.exit_code if job.exit_code in (2, TRY_AGAIN) else FAILED


def _remember(jobs: Target, request: Request, job: str) -> Submission:
    now = datetime.now(UTC).isoformat(timespec="seconds")
    made = Submission(
        request.run, job, jobs.address, request.tree.commit, request.targets, submitted=now
    )
    write_json(_records() / f"{made.run}.json", asdict(made))
    return made


def _records() -> Path:
    return runs_root() / "remote"


def _read(file: Path) -> Submission:
    values = read_json(file)
    return Submission(**{**values, "targets": tuple(values["targets"])})


def _label(params: str, folder: Path) -> str:
    """The profile's name as a part of the run's, with nothing odd in it."""
    import tempfile

    with tempfile.NamedTemporaryFile("w", suffix=".yaml", encoding="utf-8") as file:
        file.write(params)
        file.flush()
        name = str(read_yaml(Path(file.name)).get("profile", "run"))
    return "".join(c if c.isalnum() else "-" for c in name.lower())[:40] or "run"
