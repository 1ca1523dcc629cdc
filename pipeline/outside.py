"""Files of the user's that params name and DVC's graph cannot: a changed one makes its stage run again.

DVC's deps are paths that stand in dvc.yaml, and a benchmark may be made of any number of files, in any
places. So a stage's end keeps the hashes of what it was made of under ``REPO_RUNS/given``, by a hash
of its outs, and ``plan`` and ``run`` compare. Plain ``dvc repro`` does not; neither does a
machine that did not make the outs.
"""

import contextlib
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from pipeline.check import read
from stages.common import runs
from stages.common.errors import UserError
from stages.common.files import read_json, sha256, write_json
from stages.given import WATCHED

FOLDER = "given"


class Stamp(BaseModel):
    """What is remembered of a file."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    bytes: int
    mtime_ns: int
    sha256: str


_STAMPS = TypeAdapter(dict[str, Stamp])


def hashes(root: Path, name: str) -> dict[str, Stamp]:
    """Of the files of the user's that a stage of the checkout at ``root`` would be made of."""
    if name not in WATCHED:
        return {}
    try:
        files = WATCHED[name](read(root), root)
    except (UserError, OSError):
        return {}  # the stage itself says what is wrong
    stamps = {_shown(file, root): _stamp(file) for file in files}
    return {file: stamp for file, stamp in stamps.items() if stamp}


def keep(root: Path, name: str, outs: str, given: Mapping[str, Stamp]) -> None:
    """Remember what the outs of a stage, by their hash, were made of; of a file that is gone, too."""
    before = _known(name, outs)
    gone = {file: stamp for file, stamp in before.items() if not (root / file).exists()}
    if given:
        with contextlib.suppress(OSError):  # nothing is lost but the comparison
            write_json(_file(name, outs), _STAMPS.dump_python({**gone, **given}))


def changed(root: Path, name: str, outs: str) -> list[str]:
    """Files that the outs of a stage, by their hash, were made of and that are others now.

    A file that is gone is no change: what is made needs it no more.
    """
    made_of = _known(name, outs) if name in WATCHED else {}
    return [file for file, stamp in made_of.items() if _differs(root / file, stamp)]


def _stamp(file: Path) -> Stamp | None:
    with contextlib.suppress(OSError):
        found = file.stat()
        return Stamp(bytes=found.st_size, mtime_ns=found.st_mtime_ns, sha256=sha256(file))
    return None


def _differs(file: Path, before: Stamp) -> bool:
    with contextlib.suppress(OSError):
        found = file.stat()
        if (found.st_size, found.st_mtime_ns) == (before.bytes, before.mtime_ns):
            return False
        return found.st_size != before.bytes or sha256(file) != before.sha256
    return False


def _shown(file: Path, root: Path) -> str:
    return str(file.relative_to(root) if file.is_relative_to(root) else file)


def _file(name: str, outs: str) -> Path:
    """One for each outs: runs of several checkouts write here."""
    return runs.root() / FOLDER / name / f"{outs}.json"


def _known(name: str, outs: str) -> dict[str, Stamp]:
    """What these outs were made of; nothing where nobody remembered, or the file is damaged."""
    with contextlib.suppress(UserError, OSError, ValidationError):
        return _STAMPS.validate_python(read_json(_file(name, outs)))
    return {}
