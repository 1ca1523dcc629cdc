"""Outs that are whole or as they were: built beside their place and swapped in by rename.

DVC keeps the outs (``persist: true``); a stage that fails halfway leaves the earlier result.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def building(out: Path) -> Iterator[Path]:
    """Yield a free path beside ``out`` to build a file or folder at; swap it in at a clean end.

    The names ``.building-*`` and ``.old-*`` are in ``.dvcignore``: DVC never hashes a half-built out.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    new, old = out.with_name(f".building-{out.name}"), out.with_name(f".old-{out.name}")
    if old.exists() and not out.exists():
        old.rename(out)  # killed between the two renames below
    _remove(new)
    try:
        yield new
        _remove(old)
        if out.exists():
            out.rename(old)
        new.rename(out)
    finally:
        _remove(new)
        if out.exists():
            _remove(old)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
