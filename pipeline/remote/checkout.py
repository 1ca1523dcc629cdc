"""The run's checkout on the cluster: the sent files in a folder that all nodes share.

It stays, so that a later attempt at the same run goes on where this one was. DVC works in it without
git: the cluster needs no credential for that.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from configparser import ConfigParser
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from pipeline.remote.package import LOCK
from stages.common.errors import TryAgain, UserError

READY = ".checkout-ready"
CHECKOUTS, CACHE = "checkouts", "cache"
"""Folders under the shared one."""
LOCK_WAIT_S = 60.0
"""A killed driver's processes outlive it by seconds."""


def runs_folder(wish: dict[str, Any], count_nodes: Callable[[], int]) -> Path:
    """The shared folder: as the submitter said, else as the nodes' ``REPO_RUNS`` says."""
    named = wish["runs"] or os.environ.get("REPO_RUNS")
    if not named and (nodes := count_nodes()) > 1:
        raise UserError(
            f"the cluster has {nodes} nodes and no REPO_RUNS: set it there to a folder that all "
            "nodes share, or name it as `runs` in the cluster file"
        )
    folder = Path(named or Path.home() / ".repo-runs").absolute()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".probe-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise UserError(f"REPO_RUNS on the cluster is {str(folder)!r}: {error.strerror}") from None
    return folder


@contextmanager
def checkout(sent: Path, runs: Path, wish: dict[str, Any]) -> Iterator[Path]:
    """Yield the run's folder, filled and owned by this process until the block ends."""
    folder = runs / CHECKOUTS / wish["run"]
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=LOCK_WAIT_S)
    except Timeout:
        raise TryAgain(f"{folder}: another job of this run holds it; wait or cancel it") from None
    try:
        if not (folder / READY).is_file():
            shutil.copytree(sent, folder, dirs_exist_ok=True)
            (folder / READY).touch()
        elif not (folder / LOCK).is_file() and (sent / LOCK).is_file():
            shutil.copyfile(sent / LOCK, folder / LOCK)
        _configure(folder, runs, wish["remote"])
        yield folder
    finally:
        lock.release()


def _configure(folder: Path, runs: Path, remote: dict[str, Any]) -> None:
    """DVC's settings here: no git, one cache for all checkouts, the remote as it was described."""
    config = ConfigParser()
    # shared: what one run made another takes from the cache instead of making it anew
    config["core"] = {"analytics": "false", "no_scm": "true", "remote": remote["name"]}
    config["cache"] = {"dir": str(runs / CACHE), "type": "reflink,hardlink,symlink,copy"}
    config[f"'remote \"{remote['name']}\"'"] = {k: str(v) for k, v in remote["options"].items()}
    (folder / ".dvc").mkdir(exist_ok=True)
    with open(folder / ".dvc" / "config.local", "w", encoding="utf-8") as file:
        config.write(file)
