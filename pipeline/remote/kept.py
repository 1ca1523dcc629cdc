"""What jobs leave on a cluster's shared folder: checkouts of runs, and the cache that these share.

What a run made is on the remote by then. ``repo-pipeline gc`` on the cluster clears what nobody used
for long.
"""

import contextlib
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipeline.finished import FOLDER
from pipeline.remote.checkout import CACHE, CHECKOUTS, READY
from stages.common.errors import UserError
from stages.common.files import read_json
from stages.common.reading import read_yaml

_MD5 = re.compile(r"[0-9a-f]{32}(\.dir)?")


def idle_s(path: Path) -> float:
    """Seconds since the last change of a file, or of what a run changes in its checkout."""
    files = [path, *(path / name for name in (READY, "dvc.lock", "events.jsonl"))]
    return time.time() - max(file.stat().st_mtime for file in files if file.exists())


def checkouts(runs: Path) -> list[Path]:
    """Checkouts that jobs made under ``runs``."""
    return sorted(ready.parent for ready in (runs / CHECKOUTS).glob(f"*/{READY}"))


def unused(runs: Path, days: float) -> Iterator[Path]:
    """Objects of the shared cache that are old, and that no checkout and no kept entry names."""
    cache = runs / CACHE / "files" / "md5"
    locks = [folder / "dvc.lock" for folder in checkouts(runs)]
    used = {md5 for lock in locks for md5 in _named(_read(lock))}
    used |= {
        md5
        for entry in (runs / FOLDER).glob("*/*.json")
        if time.time() - entry.stat().st_mtime < days * 86_400
        for md5 in _named(_read(entry))
    }
    for md5 in [md5 for md5 in used if md5.endswith(".dir")]:
        used |= set(_named(_read(cache / md5[:2] / md5[2:])))
    for file in sorted(cache.glob("[0-9a-f][0-9a-f]/*")):
        md5 = file.parent.name + file.name
        with contextlib.suppress(FileNotFoundError):  # another one clears too
            old = time.time() - file.stat().st_mtime >= days * 86_400
            if old and _MD5.fullmatch(md5) and md5 not in used:
                yield file


def _named(content: Any) -> Iterator[str]:
    """Every hash in a lock, in an entry of one, or in the list of a folder's files."""
    if isinstance(content, dict):
        if isinstance(md5 := content.get("md5"), str):
            yield md5
        content = list(content.values())
    if isinstance(content, list):
        for value in content:
            yield from _named(value)


def _read(file: Path) -> Any:
    """Its content. An unreadable lock would let go of what it names, so it ends the collection."""
    if not file.exists():
        return None
    try:
        return read_yaml(file) if file.name == "dvc.lock" else read_json(file)
    except UserError as error:
        raise UserError(f"{error}; nothing is cleared before it is put right") from None
