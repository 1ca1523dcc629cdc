"""Bringing a run home: its lock, params and report into the project, the rest where it is at hand.

Metrics and curves under ``results/`` go into DVC's cache, where ``dvc metrics`` and ``dvc plots``
find them, and not into the workspace: a ``results/`` that is there in part would look changed to
``dvc repro --allow-missing`` (seen in DVC 3.67).
"""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline import git
from pipeline.heal import lock_is_whole
from pipeline.remote.remotes import one_line
from pipeline.remote.run_folder import RunFolder
from pipeline.use import PARAMS, profiles
from stages.common.errors import UserError
from stages.common.files import replacing, sha256
from stages.common.outs import building
from stages.common.runs import root as runs_root
from stages.params import load

LOCK = "dvc.lock"
MARK = "remote/fetched"
"""Under ``REPO_RUNS``: the hash of the lock that a fetch put here, which another may replace."""


@dataclass(frozen=True)
class Fetched:
    """What came home."""

    folder: Path
    """A copy of the run folder: events and metrics of the run."""
    code: int
    line: str


def fetch(root: Path, run: str, force: bool = False) -> Fetched:
    """Fetch ``run`` into the project at ``root``.

    Raises ``UserError`` when it was made from another commit, or when a lock or params would be lost
    that are in no commit (``force`` replaces them).
    """
    try:
        home = RunFolder(root, run)
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"DVC remote: {one_line(error)}") from None
    folder = runs_root() / "remote" / run
    card = home.get(folder)
    _check_commit(root, run, card["commit"])
    _check_sent(run, folder, card)
    if not force:
        _check_unsaved(root, folder, run)
    for name in (PARAMS, LOCK):
        if (folder / name).is_file():
            with replacing(root / name) as temporary:
                shutil.copyfile(folder / name, temporary)
    if (folder / LOCK).is_file():
        (runs_root() / MARK).write_text(sha256(folder / LOCK), encoding="utf-8")
    if (folder / "report").is_dir():
        for path in sorted((folder / "report").iterdir()):
            with building(root / "report" / path.name) as out:
                (shutil.copytree if path.is_dir() else shutil.copyfile)(path, out)
    _cache_metrics(root, home)
    return Fetched(folder, int(card["code"]), str(card["line"]))


def _check_commit(root: Path, run: str, commit: str) -> None:
    head = git.head(root)
    if not head:
        raise UserError(f"{root}: not a git checkout; fetch into the clone that submitted the run")
    if head != commit:
        raise UserError(
            f"run {run} was made from commit {commit[:12]}, this checkout is at {head[:12]}; "
            f"`git checkout {commit[:12]}` first"
        )


def _check_sent(run: str, folder: Path, card: dict[str, Any]) -> None:
    """The params that came are those that were sent, and the lock reads as one.

    A run's name holds a hash of its commit, params and targets: what another put onto the remote does
    not match it, and would otherwise reach a shell at the next ``dvc repro``.
    """
    from pipeline.remote.submission import digest

    params, lock = folder / PARAMS, folder / LOCK
    try:
        text = params.read_text(encoding="utf-8")
        trees = (card["commit"], f"{card['commit']}+{card['tree']}")
        sent = {digest(t, text, card["targets"], f) for t in trees for f in (False, True)}
    except (OSError, UnicodeDecodeError, TypeError):
        sent = set()
    if run.rpartition("-")[2] not in sent:
        raise UserError(
            f"run {run}: params.yaml on the remote is not the one that was sent; nothing was replaced"
        )
    load(params)
    if lock.is_file() and not lock_is_whole(lock):
        raise UserError(f"run {run}: dvc.lock on the remote is damaged; nothing was replaced")


def _check_unsaved(root: Path, folder: Path, run: str) -> None:
    """Nothing is replaced that no commit and no profile holds."""
    mark = runs_root() / MARK
    for name in (PARAMS, LOCK):
        file, new = root / name, folder / name
        if not file.is_file() or not new.is_file() or sha256(file) == sha256(new):
            continue
        if name == PARAMS and file.read_text(encoding="utf-8") in profiles().values():
            continue
        if name == LOCK and mark.is_file() and mark.read_text("utf-8") == sha256(file):
            continue
        if git.changed(root, name, ignored=True):
            raise UserError(
                f"{name} has changes that are not committed, and run {run} has another; commit or "
                "drop them, or `fetch --force`"
            )


def _cache_metrics(root: Path, home: RunFolder) -> None:
    """Metrics and plots into DVC's cache, as far as they are in the remote."""
    from dvc.exceptions import DvcException

    from pipeline.graph import read_graph

    graph = read_graph(root)
    names = [
        str(out)
        for stage in graph.stages.values()
        for out in stage.outs
        if out.hash_info
        and (out.metric or out.plot or Path(str(out)).match("results/*/metrics.json"))
    ]
    if names:
        try:
            graph.repo.fetch(targets=names)
        except DvcException as error:
            raise UserError(f"DVC remote {home.name!r}: {one_line(error)}") from None
