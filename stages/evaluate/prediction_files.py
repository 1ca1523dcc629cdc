"""Where predictions lie: a file of one task, or a folder of any of four layouts.

- Ours: ``samples`` of ``evaluate --out`` and of the stage's results; a row names its task.
- RULER's ``pred``: ``<task>.jsonl``, or chunks ``<task>-<number>.jsonl``, which are one file.
- LongBench's ``pred/<model>``: ``<task>.jsonl``. LongBench-E's ``pred_e/<model>``: the same, or
  ``<task>_e.jsonl``.

A folder is read to its bottom. What is no prediction of a known task is named, and left out.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from stages.common.errors import UserError

_CHUNK = re.compile(r"(.*[^_]+)-(\d+)")
"""As NVIDIA's ``aggregate_chunk`` finds them; LongBench's ``repobench-p`` is none."""
OWN = "samples"
"""Our own records; the official layouts beside them say the same."""


@dataclass(frozen=True)
class Found:
    """The files of one task."""

    name: str
    """Of the task, as far as the file's name tells it."""
    files: tuple[Path, ...]
    folder: str = ""
    """Where in the folder that was given."""


def found(place: Path, known: Callable[[str], bool]) -> tuple[list[Found], list[str]]:
    """The predictions at ``place``, and what was left out there, in words."""
    if place.is_file():
        return [Found(task_of(place, known) or place.stem, (place,))], []
    if not place.is_dir():
        raise UserError(f"FILE is {str(place)!r}: no such file or folder")
    root = place / OWN if (place / OWN).is_dir() else place
    groups: dict[tuple[Path, str], list[Path]] = {}
    left_out = []
    for file in sorted(root.rglob("*.jsonl")):
        inside = file.relative_to(root).parts
        if "windows" in inside or file.is_dir():  # losses, not predictions
            continue
        if any(
            part.startswith((".", "__MACOSX")) for part in inside
        ):  # copies of editors' and zips'
            left_out.append(f"{file.relative_to(place)} is an editor's or a zip's copy")
            continue
        name = file.stem if OWN in file.parts else task_of(file, known)
        if name is None:
            left_out.append(f"{file.relative_to(place)} is named for no known task")
            continue
        groups.setdefault((file.parent, name), []).append(file)
    for (_, name), files in groups.items():
        # As NVIDIA's script, which writes the whole anew from its chunks.
        if OWN not in files[0].parts and len(files) > 1:
            files[:] = [file for file in files if file.stem != name]
    return [
        Found(name, tuple(files), "" if parent == root else str(parent.relative_to(root)))
        for (parent, name), files in groups.items()
    ], left_out


def task_of(file: Path, known: Callable[[str], bool]) -> str | None:
    """The task that a file's name tells; none where it is no known one's."""
    if known(file.stem):
        return file.stem
    chunk = _CHUNK.fullmatch(file.stem)
    return chunk[1] if chunk and known(chunk[1]) else None
