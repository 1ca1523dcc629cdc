"""Which files of a folder hold documents, and of which kind each is."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from stages.common.errors import UserError
from stages.corpus.kinds import COMPRESSED, KINDS, kind_of
from stages.corpus.reading.rows import first_has_text

NOT_READ = (".xz", ".lzma", ".lz4", ".br", ".zip", ".7z", ".rar", ".sz", ".snappy", ".lzo", ".z")
"""Packings that are not read: documents in one beside others would be left out unsaid."""
ACCEPTED = (
    ".jsonl .ndjson .json .txt (each plain or with .gz .zst .bz2 behind it) and .parquet are read"
)
NOT_DATA = {
    "dataset_infos.json", "dataset_info.json", "dataset_dict.json", "state.json", "config.json",
    "metadata.json", "croissant.json", "package.json", "requirements.txt", "readme.txt",
    "license.txt", "licence.txt", "notice.txt", "citation.txt", "sha256sums.txt", "md5sums.txt",
}  # fmt: skip
"""What hubs and packers set beside data, lower case."""
NOT_FOLDERS = {
    "__MACOSX", "_temporary", "lost+found", "System Volume Information", "$RECYCLE.BIN"
}  # fmt: skip
"""What packers, jobs and file systems leave; the last three may not even be listed."""
LEFTOVERS = ("~", ".swp", ".swo", ".tmp", ".part", ".partial", ".crc", ".incomplete", ".lock")


@dataclass(frozen=True)
class DataFile:
    """A file of documents."""

    path: Path
    kind: str
    """``lines`` (JSONL), ``json`` (an array, or lines), ``parquet`` or ``text`` (one document)."""


def packed_otherwise(path: Path) -> bool:
    """Whether the name is of documents that are packed in a way that is not read."""
    name = path.name.lower()
    inner = next((name[: -len(end)] for end in (*NOT_READ, *COMPRESSED) if name.endswith(end)), "")
    return kind_of(path) is None and Path(inner).suffix in KINDS


def data_files(path: Path, field: str, key: str = "corpus") -> list[DataFile]:
    """Files with documents at ``path`` (a file or a folder), sorted by name.

    Left out: hidden files and folders, what editors leave behind, what a hub's snapshot sets beside
    data, a second name of the same file. ``key``: the section that names ``path``. Raises
    ``UserError`` where no file is left, or two kinds.
    """
    if not _exists(path):
        raise UserError(f"{key}.path is {str(path)!r}: no such file or folder")
    if path.is_file():
        kind = kind_of(path)
        if kind is None:
            raise UserError(f"{key}.path is {str(path)!r}: not a file of documents; {ACCEPTED}")
        return [DataFile(path, kind)]
    if (path / "blobs").is_dir() and len(several := sorted(path.glob("snapshots/*/"))) > 1:
        raise UserError(
            f"{key}.path is {str(path)!r}, a hub's cache with {len(several)} revisions; name the "
            f"folder of one, such as {several[-1]}"
        )
    files = walk(path, lambda file: is_data(file) or packed_otherwise(file))
    found = [DataFile(file, kind) for file in files if (kind := kind_of(file))]
    kinds = {file.kind for file in found}
    if kinds - {"text"}:  # a list of words or a licence beside the data is no document
        found = [file for file in found if file.kind != "text"]
    if kinds & {"lines", "parquet"}:
        found = [f for f in found if f.kind != "json" or first_has_text(f.path, field)]
    if found and (packed := [file for file in files if kind_of(file) is None]):
        raise UserError(
            f"{key}.path is {str(path)!r}: {packed[0].name} is packed in a way that is not read; "
            "unpack it, or move it away"
        )
    if not found:
        raise UserError(f"{key}.path is {str(path)!r}: no file of documents there; {ACCEPTED}")
    parquet = next((file for file in found if file.kind == "parquet"), None)
    other = next((file for file in found if file.kind != "parquet"), None)
    if parquet and other:
        raise UserError(
            f"{key}.path is {str(path)!r}: both Parquet ({parquet.path.name}) and JSON "
            f"({other.path.name}), which may hold the same documents; move one of them away"
        )
    return found


def is_data(path: Path) -> bool:
    """Whether the name is that of a file of documents."""
    return kind_of(path) is not None


def _unreadable(error: OSError) -> NoReturn:
    """A folder that cannot be listed: ``os.walk`` would leave it out unsaid."""
    raise UserError(f"{error.filename}: {error.strerror}; make it readable, or move it away")


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except PermissionError as error:
        _unreadable(error)


def walk(root: Path, wanted: Callable[[Path], bool]) -> list[Path]:
    """Wanted files below ``root`` that are nobody's leftovers, each once; links are followed."""
    entered: set[Path] = set()
    names: dict[Path, Path] = {}  # the file itself -> the name it is read by
    for folder, folders, files in os.walk(root, onerror=_unreadable, followlinks=True):
        here = Path(folder)
        if here.resolve() in entered:
            folders.clear()
            continue
        entered.add(here.resolve())
        # Real folders before links to them, so that the name taken depends on nothing else.
        folders[:] = sorted(
            (name for name in folders if name[0] != "." and name not in NOT_FOLDERS),
            key=lambda name: ((here / name).is_symlink(), name),
        )
        for name in sorted(files):
            file = here / name
            if name[0] in "._#" or name.lower() in NOT_DATA or name.lower().endswith(LEFTOVERS):
                continue
            if not wanted(file):  # also a blob of a hub's cache: its link's name has the kind
                continue
            there = _exists(file)
            if there and not file.is_file():
                continue  # a pipe or a socket: reading it would wait for ever
            if not there:
                raise UserError(f"{file}: a link to a file that is not there; fetch it again")
            known = names.get(file.resolve())
            if known is None or (known.is_symlink() and not file.is_symlink()):
                names[file.resolve()] = file
    return sorted(names.values())
