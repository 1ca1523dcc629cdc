"""``repo-pipeline gc``: what under ``REPO_RUNS`` nobody needs any more.

Finished work is in DVC's outs and cache; what is kept for it is only of use to a run that was cut
off. DVC's own cache is cleaned by ``dvc gc``.
"""

import contextlib
import re
import shutil
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from filelock import FileLock, Timeout

from pipeline import git
from pipeline.checkout import remove_worktree, saved
from pipeline.finished import FOLDER, MILESTONES
from pipeline.graph import read_graph
from pipeline.heal import KEPT
from pipeline.remote import kept
from pipeline.remote.checkout import CACHE
from stages.common.errors import UserError
from stages.common.files import read_json
from stages.common.runs import STATE
from stages.common.runs import root as runs_root
from stages.params import load

DAY_S = 86_400.0
_LOGS = re.compile(r"\d{8}-\d{6}")


class Leftover(NamedTuple):
    """A folder that can go, and why."""

    path: Path
    why: str
    bytes: int
    days: float | None = None
    """Only what is older goes."""


def leftovers(main: Path, days: float) -> Iterator[Leftover]:
    """Finished work, saved experiments, and whatever was not touched for ``days``."""
    runs, ours = runs_root(), _worktrees(main)
    committed = _committed([main, *ours.values()])
    for state in sorted(runs.glob(f"*/*/{STATE}")):
        folder, content = state.parent, _ours(state)
        if content is None or _is_held(folder / ".lock"):
            continue
        label, idle = content["label"], _idle_days(state)
        if content["finished"] and label in committed:
            yield Leftover(folder, f"{label}: finished, DVC has its outs", size(folder))
        elif idle >= days:
            how = (
                "finished, but DVC does not have its outs" if content["finished"] else "unfinished"
            )
            yield Leftover(folder, f"{label}: {how}, not used for {idle:.0f} days", size(folder))
    for folder, project in sorted(ours.items()):
        if any(_is_held(lock) for lock in (project / KEPT).glob("*.lock")):
            continue
        if saved(main, folder.name):
            why = f"worktree: saved, `dvc exp apply {folder.name}` brings it back"
            yield Leftover(folder, why, size(folder))
        elif _idle_days(folder) >= days:
            why = f"worktree: unfinished, not used for {_idle_days(folder):.0f} days"
            yield Leftover(folder, why, size(folder))
    yield from _of_a_cluster(runs, days)
    origins = _origins([main, *ours.values()])
    for folder in sorted((runs / FOLDER).glob(f"*/*/{MILESTONES}")):
        named = any(origin.is_relative_to(folder.resolve()) for origin in origins)
        if not named and (idle := _idle_days(folder)) >= days:
            label = folder.parents[1].name
            yield Leftover(
                folder, f"milestones of {label}, not used for {idle:.0f} days", size(folder)
            )
    for folder in sorted(path for path in (runs / "logs").glob("*") if path.is_dir()):
        if _LOGS.fullmatch(folder.name) and _idle_days(folder) >= days:
            yield Leftover(folder, f"logs of {_idle_days(folder):.0f} days ago", size(folder))


def _origins(projects: Sequence[Path]) -> set[Path]:
    """Folders that some checkout's params take models from (``definitions.NAME.train.from``)."""
    found: set[Path] = set()
    for project in projects:
        with contextlib.suppress(UserError):
            for defined in load(project / "params.yaml").definitions.values():
                found |= {(project / one.folder).resolve() for one in defined.train.origins}
    return found


def _of_a_cluster(runs: Path, days: float) -> Iterator[Leftover]:
    """Checkouts of jobs, and what is in the cache that they share and none of them names."""
    for folder in kept.checkouts(runs):
        idle = kept.idle_s(folder) / DAY_S
        if idle >= days and not _is_held(folder / ".lock"):
            yield Leftover(folder, f"a job's checkout, not used for {idle:.0f} days", size(folder))
    found = sum(file.stat().st_size for file in kept.unused(runs, days))
    if found:
        why = f"of the jobs' cache: what no checkout names, older than {days:.0f} days"
        yield Leftover(runs / CACHE, why, found, days)


def _worktrees(main: Path) -> dict[Path, Path]:
    """Worktrees of this repository under ``REPO_RUNS`` and the project in each; not another's."""
    listed = git.ask(main, "worktree", "list", "--porcelain", "-z").split("\0")
    known = {
        Path(x.removeprefix("worktree ")).resolve() for x in listed if x.startswith("worktree ")
    }
    found = (path for path in (runs_root() / "worktrees").glob("*") if path.is_dir())
    return {path: path / git.prefix(main) for path in found if path.resolve() in known}


def _committed(projects: Sequence[Path]) -> set[str]:
    """Stages whose outs DVC has, as they are or as its lock says, in every checkout that has them.

    Not so where a stage ran without DVC, or where DVC could not keep what it made.
    """
    clean: dict[str, bool] = {}
    for project in projects:
        try:
            stages = read_graph(project).stages
        except UserError:
            continue  # no project any more: it says nothing
        for name, stage in stages.items():
            clean[name] = clean.get(name, True) and all(_kept(out) for out in stage.outs)
    return {name for name, good in clean.items() if good}


def _kept(out: Any) -> bool:
    """Whether DVC's cache holds an out that is not other than dvc.lock says."""
    if not out.hash_info or out.changed_cache():
        return False
    return not out.exists or not out.changed_checksum()


def _ours(state: Path) -> dict[str, Any] | None:
    """The content of a state that a stage of ours wrote; none for what others keep beside."""
    try:
        content = read_json(state)
    except (UserError, OSError, UnicodeDecodeError):
        return None
    good = isinstance(content, dict) and isinstance(content.get("label"), str)
    if not good or not isinstance(content.get("finished"), bool):
        return None
    return content if content["label"].partition("@")[0] == state.parents[1].name else None


def delete(main: Path, leftover: Leftover) -> None:
    """Remove it; a worktree with git's record of it."""
    if leftover.days is not None:
        # Looked for anew: a job may have named some of it meanwhile.
        for file in list(kept.unused(leftover.path.parent, leftover.days)):
            file.unlink(missing_ok=True)
    elif leftover.path.parent.name == "worktrees":
        leftover.path.with_name(f".{leftover.path.name}.ready").unlink(missing_ok=True)
        remove_worktree(main, leftover.path)
    else:
        shutil.rmtree(leftover.path)


def size(folder: Path) -> int:
    """Bytes that go with the folder: a file that DVC's cache holds as well (a hard link) is not one."""
    found = 0
    for file in folder.rglob("*"):
        status = file.lstat()
        if not file.is_dir() and status.st_nlink == 1:
            found += status.st_size
    return found


def _idle_days(path: Path) -> float:
    return (time.time() - path.stat().st_mtime) / DAY_S


def _is_held(lock: Path) -> bool:
    if not lock.exists():
        return False
    try:
        with FileLock(lock, timeout=0):
            return False
    except Timeout:
        return True
