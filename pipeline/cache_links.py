"""Data on disk once: DVC's way to link outs to its cache, by what the file system can.

DVC 3.67 takes ``cache.type`` in order when it checks an out out, but links a new out only where the
first type works; else the out and its copy in the cache both stay. So the first must be one that
works: reflink (btrfs, XFS, APFS) or, without it, hardlink. A hard link to the cache is read-only:
stages replace files and never edit them.
"""

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

SHIPPED = ["reflink", "hardlink", "symlink", "copy"]
"""What ``.dvc/config`` names; another choice is the user's own and stays."""
WITHOUT_REFLINK = "hardlink,symlink,copy"


def unwritable(cache: Path) -> str | None:
    """Why nothing can be written to a cache's folder, which is made where it is not there."""
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=cache):
            return None
    except OSError as error:
        return error.strerror or str(error)


def settle(root: Path) -> None:
    """Write ``cache.type`` to ``.dvc/config.local`` where the shipped one would keep copies."""
    from dvc.config import Config
    from dvc.repo import Repo

    repo = Repo(str(root))
    if list(repo.config["cache"].get("type") or []) != SHIPPED:
        return
    cache = Path(repo.cache.local_cache_dir)
    try:
        cache.mkdir(parents=True, exist_ok=True)
        if works("reflink", cache, root):
            return
    except OSError:
        return  # a cache that cannot be written: the run says so where it needs it
    with Config(str(root / ".dvc"), validate=False).edit("local") as local:
        local.setdefault("cache", {})["type"] = WITHOUT_REFLINK


def works(kind: str, cache: Path, root: Path) -> bool:
    """Whether a file of ``cache`` can be linked so into ``root``: tried, not guessed."""
    with (
        tempfile.TemporaryDirectory(dir=cache, prefix=".doctor-") as inside,
        tempfile.TemporaryDirectory(dir=root, prefix=".building-doctor-") as outside,
    ):
        source = Path(inside) / "file"
        source.write_text("x")
        try:
            _WAYS[kind](source, Path(outside) / kind)
        except (OSError, NotImplementedError):
            return False
    return True


def _reflink(source: Path, target: Path) -> None:
    from dvc_objects.fs.system import reflink

    reflink(str(source), str(target))


_WAYS: dict[str, Callable[[Path, Path], Any]] = {
    "reflink": _reflink,
    "hardlink": lambda source, target: target.hardlink_to(source),
    "symlink": lambda source, target: target.symlink_to(source),
    "copy": shutil.copy,
}
