"""``repo-pipeline gc``: what under ``REPO_RUNS`` nobody needs any more.

Finished work is in DVC's outs and cache; what is kept for it is only of use to a run that was cut
off. DVC's own cache is cleaned by ``dvc gc``.
"""

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from filelock import FileLock, Timeout

from pipeline.checkout import remove_worktree, saved
from stages.common.files import read_json
from stages.common.runs import STATE
from stages.common.runs import root as runs_root

DAY_S = 86_400.0


class Leftover(NamedTuple):
    """A folder that can go, and why."""

    path: Path
    why: str
    bytes: int


def leftovers(main: Path, days: float) -> Iterator[Leftover]:
    """Finished work, saved experiments, and whatever was not touched for ``days``."""
    runs = runs_root()
    for state in sorted(runs.glob(f"*/*/{STATE}")):
        folder, content = state.parent, read_json(state)
        idle = _idle_days(state)
        if _is_held(folder / ".lock"):
            continue
        if content["finished"]:
            yield Leftover(folder, f"{content['label']}: finished, DVC has its outs", size(folder))
        elif idle >= days:
            why = f"{content['label']}: unfinished, not used for {idle:.0f} days"
            yield Leftover(folder, why, size(folder))
    for folder in sorted(path for path in (runs / "worktrees").glob("*") if path.is_dir()):
        if any(_is_held(lock) for lock in (folder / ".dvc/tmp/repo-pipeline").glob("*.lock")):
            continue
        if saved(main, folder.name):
            why = f"worktree: saved, `dvc exp apply {folder.name}` brings it back"
            yield Leftover(folder, why, size(folder))
        elif _idle_days(folder) >= days:
            why = f"worktree: unfinished, not used for {_idle_days(folder):.0f} days"
            yield Leftover(folder, why, size(folder))
    for folder in sorted(path for path in (runs / "logs").glob("*") if path.is_dir()):
        if _idle_days(folder) >= days:
            yield Leftover(folder, f"logs of {_idle_days(folder):.0f} days ago", size(folder))


def delete(main: Path, leftover: Leftover) -> None:
    """Remove it; a worktree with git's record of it."""
    if leftover.path.parent.name == "worktrees":
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
