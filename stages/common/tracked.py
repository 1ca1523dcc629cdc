"""Files of the user's that DVC tracks by files of their own: what ``dvc add`` leaves beside them."""

from collections.abc import Iterable
from pathlib import Path

SUFFIX = ".dvc"


def dvc_files(root: Path, names: Iterable[str | Path]) -> list[Path]:
    """The ``.dvc`` files that hold paths of the project at ``root``, relative to it.

    ``dvc add data`` holds all below ``data``; a folder may hold files that were added one by one.
    Absolute paths are nobody's here. Reads no file.
    """
    found: dict[Path, None] = {}
    for path in map(Path, names):
        if path.is_absolute():
            continue
        above = [part for part in (path, *path.parents) if part.name]
        beside = [part.with_name(part.name + SUFFIX) for part in above]
        found |= dict.fromkeys(file for file in beside if (root / file).is_file())
        if (root / path).is_dir():
            inside = sorted((root / path).rglob(f"?*{SUFFIX}"))
            found |= dict.fromkeys(file.relative_to(root) for file in inside if file.is_file())
    return list(found)


def held(file: Path) -> Path:
    """What a ``.dvc`` file holds: ``dvc add`` names the one after the other."""
    return file.with_name(file.name.removesuffix(SUFFIX))
