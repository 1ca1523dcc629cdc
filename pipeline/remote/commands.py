"""``repo-pipeline submit``, ``status``, ``logs``, ``cancel`` and ``fetch``."""

import functools
import os
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline import project
from pipeline.remote.slurm import SCHEME
from stages.common.errors import DONE, TRY_AGAIN, TryAgain, UserError
from stages.common.printable import printable

if TYPE_CHECKING:  # HTTP and pydantic cost half a second, which `--help` need not pay
    from pipeline.cluster_file import ClusterFile
    from pipeline.remote.target import JobInfo, Target

VARIABLE = "REPO_CLUSTER"
Address = Annotated[
    str | None,
    typer.Option(help="Of the Ray dashboard, or slurm:; default: $RAY_API_SERVER_ADDRESS."),
]
Cluster = Annotated[Path | None, typer.Option(help=f"A cluster file; default: ${VARIABLE}.")]
Run = Annotated[str | None, typer.Argument(help="A run or job; none: the last one sent from here.")]


def register(app: typer.Typer) -> None:
    """Add the commands to ``repo-pipeline``."""
    for command in (submit, status, logs, cancel, fetch):
        app.command()(_trying_again(command))


def _trying_again(command: Callable[..., None]) -> Callable[..., None]:
    """``TryAgain`` as one line and exit code 75."""

    @functools.wraps(command)
    def guarded(*arguments: Any, **options: Any) -> None:
        try:
            command(*arguments, **options)
        except TryAgain as error:
            _finish(TRY_AGAIN, str(error))

    return guarded


def submit(
    stages: Annotated[list[str] | None, typer.Argument(help="Stages; none: all.")] = None,
    profile: Annotated[str | None, typer.Option(help="A profile instead of params.yaml.")] = None,
    override: Annotated[list[str] | None, typer.Option("--set", help="section.key=value")] = None,
    address: Address = None,
    cluster: Cluster = None,
    wait: Annotated[bool, typer.Option(help="Follow it to its end.")] = False,
    dirty: Annotated[bool, typer.Option(help="Send edits that are not committed.")] = False,
    force: Annotated[bool, typer.Option(help="Run the stages even where nothing changed.")] = False,
    slurm: Annotated[bool, typer.Option("--slurm", help="As a job of this login node.")] = False,
    sbatch: Annotated[
        list[str] | None, typer.Option(help="An option for sbatch, --partition=gpu; repeatable.")
    ] = None,
) -> None:
    """Send the commit to a Ray cluster or to Slurm and run it there; sent again, attach to it."""
    from pipeline.remote.mirror import mirror

    root = project.here()
    described, where = target(address or (SCHEME if slurm else None), cluster)
    if sbatch:
        described = described.model_copy(update={"slurm": [*described.slurm, *sbatch]})
    if (slurm or described.slurm) and not where.startswith(SCHEME):
        raise UserError(f"--slurm and --sbatch with address {where!r}: leave one of them out")
    found = mirror(root, where, stages or [], described, profile, override or [], dirty, force)
    sent, attached = found.submission, found.attached
    if attached is None:
        print(f"submitted {sent.run} as job {sent.job} to {sent.address}", flush=True)
    else:
        print(f"attached to job {sent.job}, {attached.status.lower()}", flush=True)
    if attached is not None and attached.status == "SUCCEEDED" and not wait:
        print("nothing is left to do; `repo-pipeline fetch` brings it home")
    elif not wait:
        code = _detaching(sent.job, found.wait_until_checked)
        if code is None:
            print("running; `repo-pipeline logs --follow` shows it, `fetch` brings it home")
        _finish(code or DONE, found.last_line)
    else:
        _finish(_detaching(sent.job, lambda: _follow(found)) or DONE, found.last_line)


def status(run: Run = None, address: Address = None, cluster: Cluster = None) -> None:
    """Where a run stands; without one, the last run on this machine and all of the cluster's."""
    from pipeline import local
    from pipeline.remote.submission import LABEL
    from stages.common.runs import root

    here = [] if run or address or cluster else local.lines(root())
    for line in here:
        print(line, flush=True)
    try:
        jobs, job = _job(run, address, cluster, must_be_known=False)
    except UserError:
        if here:
            return  # nothing was sent from here
        raise
    for info in jobs.list():
        if LABEL in info.metadata and (run is None or info.id == job):
            mark = "*" if info.id == job else " "
            commit = info.metadata.get("commit", "")[:12]
            print(f"{mark} {info.id}  {info.status:9}  {commit:12}  {_times(info)}")
    if job is None:
        return
    if jobs.find(job) is None:
        raise UserError(f"job {job!r}: {jobs.address} does not know it")
    for stage, happened in _stages(jobs, job).items():
        print(f"  {stage:20} {happened}")


def logs(
    run: Run = None,
    follow: Annotated[bool, typer.Option(help="Until the job ends; Ctrl-C detaches.")] = False,
    address: Address = None,
    cluster: Cluster = None,
) -> None:
    """Print a job's log."""
    from pipeline.remote import follow as following
    from pipeline.remote.events import PREFIX

    jobs, job = _job(run, address, cluster)
    assert job is not None

    def show() -> int | None:
        found = following.lines(jobs, job, _complain) if follow else jobs.logs(job).splitlines()
        for line in found:
            if not line.startswith(PREFIX):
                print(printable(line), flush=True)
        return None

    _finish(_detaching(job, show) or DONE)


def cancel(run: Run = None, address: Address = None, cluster: Cluster = None) -> None:
    """Stop a job and everything it started; what it made stays, `submit` goes on from there."""
    from pipeline.remote import follow as following

    jobs, job = _job(run, address, cluster)
    assert job is not None
    info = jobs.find(job)
    if info is None:
        raise UserError(f"job {job!r}: {jobs.address} does not know it")
    if info.ended:
        print(f"{job} has ended already: {info.status.lower()}")
        return
    jobs.stop(job)
    print(f"{job}: {following.ended(jobs, job).status.lower()}")


def fetch(
    run: Run = None,
    force: Annotated[bool, typer.Option(help="Replace a lock and params not committed.")] = False,
) -> None:
    """Bring a run's lock, params, metrics and report home; `dvc pull` brings the rest."""
    from pipeline.remote.fetch import fetch as bring
    from pipeline.remote.submission import known

    root = project.here()
    try:
        name = known(run).run
    except UserError:
        if run is None:
            raise
        name = run
    got = bring(root, name, force)
    print(f"{name}: {got.line}; dvc.lock, params.yaml and metrics are here, a copy in {got.folder}")
    report = Path("report/index.html")
    if (got.folder / report).is_file():
        print(f"report: {report.absolute()}")


def target(address: str | None, cluster: Path | None) -> "tuple[ClusterFile, str]":
    """The cluster's description and its dashboard's address: options, then files, then variables."""
    from pipeline import cluster_file

    named = cluster or (Path(value) if (value := os.environ.get(VARIABLE)) else None)
    described = cluster_file.read(named) if named else cluster_file.ClusterFile()
    where = address or described.address or _named_by_ray()
    if not where:
        raise UserError(
            "no cluster is named: give --address http(s)://host:8265, or --slurm, or --cluster FILE, "
            "or set RAY_API_SERVER_ADDRESS"
        )
    return described, where


def _named_by_ray() -> str | None:
    """The address in the variables that Ray's own job commands read."""
    joined = os.environ.get("RAY_ADDRESS", "")
    dashboard = joined if joined.startswith("http") else None
    return os.environ.get("RAY_API_SERVER_ADDRESS") or dashboard


def _job(
    run: str | None, address: str | None, cluster: Path | None, must_be_known: bool = True
) -> "tuple[Target, str | None]":
    """The cluster and the job that is meant: of a run, its latest attempt."""
    from pipeline.remote.places import place
    from pipeline.remote.submission import LABEL, known

    described: ClusterFile | None = None
    try:
        sent = known(run)
        where: str = sent.address
        name: str | None = sent.job if run in (None, sent.run) else run
        if address or cluster:
            described, where = target(address, cluster)
    except UserError:
        if run is None and must_be_known:
            raise
        if not (address or cluster or _named_by_ray()):
            raise
        (described, where), name = target(address, cluster), run
    jobs, _ = place(where, described)
    jobs.check()
    if name is not None:
        attempts = [info.id for info in jobs.list() if info.metadata.get(LABEL) == name]
        name = attempts[-1] if attempts else name
    return jobs, name


def _follow(found: object) -> int:
    from pipeline.remote.mirror import Mirror

    assert isinstance(found, Mirror)
    for _ in found.events(lambda line: print(printable(line), flush=True), _complain):
        pass
    return found.code()


def _detaching(job: str, work: object) -> int | None:
    """Do ``work``; Ctrl-C leaves the job alone."""
    assert callable(work)
    try:
        code: int | None = work()
    except KeyboardInterrupt:
        print(
            f"\ndetached; the job goes on: `repo-pipeline logs --follow {job}`, "
            f"`repo-pipeline cancel {job}`",
            file=sys.stderr,
        )
        return TRY_AGAIN
    return code


def _finish(code: int, line: str = "") -> None:
    if code != DONE:
        if line:
            print(f"repo-pipeline: {line}", file=sys.stderr)
        sys.exit(code)  # typer.Exit would come back as a return value that nobody reads


def _complain(line: str) -> None:
    print(f"repo-pipeline: {line}", file=sys.stderr, flush=True)


def _stages(jobs: "Target", job: str) -> dict[str, str]:
    """Stage -> its last event."""
    from pipeline.remote import follow as following

    found: dict[str, str] = {}
    for happened in following.events(iter(jobs.logs(job).splitlines()), lambda line: None):
        found[happened.stage or "(run)"] = f"{happened.state:10} {happened.line}"
    return found


def _times(info: "JobInfo") -> str:
    if not info.started_ms:
        return ""
    began = datetime.fromtimestamp(info.started_ms / 1000, UTC)
    end = datetime.fromtimestamp(info.ended_ms / 1000, UTC) if info.ended_ms else datetime.now(UTC)
    return f"{began:%Y-%m-%d %H:%M} UTC, {(end - began).total_seconds() / 60:.0f} min"
