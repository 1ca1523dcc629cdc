"""Files of token ids that were made elsewhere: found, described, hashed, and left where they are.

A file is a flat run of little-endian ids without a header (OLMo's own, named .npy all the same), or a
.npy by its first bytes. Memory and time of a description do not depend on the file's size.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from stages.common.errors import UserError
from stages.common.files import read_json, sha256, write_json
from stages.common.progress import Progress
from stages.common.token_files import VARIABLE, home, is_address
from stages.common.variables import value
from stages.corpus import listed
from stages.corpus.fetch import fetch
from stages.corpus.listed import Known, Listed
from stages.corpus.params import CorpusParams, NamedSource
from stages.corpus.reading.found import walk

FOLDER = "ready"
"""In the corpus: a plan of reading for each source that is token files."""
SUFFIXES = (".npy", ".bin", ".tokens", ".u16", ".u32", ".uint16", ".uint32")
MAGIC = b"\x93NUMPY"
HASHERS = 4
"""Files hashed at once: a disk or a network gives more to several readers."""


@dataclass(frozen=True)
class TokenFile:
    """Where the ids of a file are."""

    file: str
    """Its path as the params give it: relative to the project, or absolute; of a list: its name."""
    dtype: str
    """As NumPy writes it, ``<u4``."""
    header: int
    """Bytes before the first id."""
    tokens: int
    bytes: int
    """Size of the whole file."""


def plans(params: CorpusParams, folder: Path) -> dict[str, dict[str, Any]]:
    """Source -> its files with their hashes, and what ``tokenize`` must check.

    ``folder`` keeps the hashes of files whose size and time stay what they were.
    """
    found = {
        name: list(described(f"corpus.sources.{name}", one)) for name, one in params.ready.items()
    }
    hashes = _hashes(
        {
            file.file: (file, place(params.ready[name], file.file))
            for name, files in found.items()
            for file in files
        },
        folder,
    )
    lists = {name: list_of(name, one) for name, one in params.ready.items() if one.files}
    for name in lists:
        learned: Known = {f.file: {"bytes": f.bytes, "sha256": hashes[f.file]} for f in found[name]}
        wanted = listed.known(*locks(params.ready[name]))
        for file, entry in learned.items():
            listed.check(file, entry["bytes"], entry["sha256"], wanted)
        listed.learn(learned, *locks(params.ready[name]))
    return {
        name: {
            "tokenizer_hash": params.ready[name].tokenizer_hash
            or (lists[name].tokenizer_hash if name in lists else None),
            "validation_share": params.validation_share,
            "whole_documents": params.ready[name].whole_documents,
            "files": [{**asdict(file), "sha256": hashes[file.file]} for file in files],
            **({"listed": lists[name].tokens_rounded} if name in lists else {}),
        }
        for name, files in found.items()
    }


def list_of(name: str, source: NamedSource, root: Path = Path()) -> Listed:
    """What the source's list says of it."""
    assert source.files is not None
    return listed.read(root / source.files, name, source.files)


def locks(source: NamedSource, root: Path = Path()) -> list[Path]:
    """Folders with what was learned of a list's files: beside the files, and beside the list."""
    assert source.files is not None
    return [home(), (root / source.files).parent]


def place(source: NamedSource, file: str, root: Path = Path()) -> Path:
    """Where a file of the source is."""
    return (home() if source.files else root) / file


def fetch_listed(params: CorpusParams) -> None:
    """Bring the files of lists here, unless ``REPO_TOKEN_FILES`` is a folder that has them."""
    given = value(VARIABLE)
    for name, source in params.ready.items():
        if source.files is None:
            continue
        one = list_of(name, source)
        if given and not is_address(given):
            if missing := [file for file in one.files if not place(source, file).is_file()]:
                raise UserError(
                    f"{VARIABLE} is {given!r}: it has no {missing[0]} ({len(missing):,} of "
                    f"{len(one.files):,} files of {name} are not there); complete it, or unset it"
                )
        else:
            fetch(one.files, given or one.address, home(), locks(source))


def known_of(source: NamedSource, root: Path = Path()) -> Known:
    """What the locks know of a list's files."""
    return listed.known(*locks(source, root))


def described(key: str, source: NamedSource, root: Path = Path()) -> Iterator[TokenFile]:
    """The files of a source in order of their names; raises ``UserError`` that names the file.

    ``key``: where the source stands in the params; ``root``: what relative paths start from.
    """
    if source.files is not None:
        one = list_of(key.rpartition(".")[2], source, root)
        for name in one.files:
            yield _described(home() / name, name, source.dtype or one.dtype)
        return
    assert source.path is not None
    path = root / source.path
    if not path.exists():
        raise UserError(
            f"{key}.path is {source.path!r}: no such file or folder; name the token files"
        )
    files = [path] if path.is_file() else walk(path, _is_tokens)
    if not files:
        raise UserError(
            f"{key}.path is {source.path!r}: no token file there; {' '.join(SUFFIXES)} are read"
        )
    for file in files:
        within = source.path if path.is_file() else Path(source.path) / file.relative_to(path)
        yield _described(file, str(within), source.dtype)


def ids(file: Path, described: TokenFile) -> np.ndarray[Any, Any]:
    """The ids, mapped and not read."""
    kind, first = np.dtype(described.dtype), described.header
    return np.memmap(file, dtype=kind, mode="r", offset=first, shape=(described.tokens,))


def _is_tokens(file: Path) -> bool:
    return file.name.lower().endswith(SUFFIXES)


def _described(file: Path, name: str, dtype: str | None) -> TokenFile:
    size = file.stat().st_size if file.is_file() else 0
    if not size:
        raise UserError(f"{name}: empty or not there; fetch it again, or move it away")
    with open(file, "rb") as opened:
        if opened.read(len(MAGIC)) == MAGIC:
            opened.seek(0)
            return _with_header(opened, name, size, dtype)
    kind = np.dtype(dtype or "uint32").newbyteorder("<")
    if size % kind.itemsize:
        raise UserError(
            f"{name}: {size:,} bytes are no whole number of {kind.name} ids; it was cut short, or its "
            "dtype is another one"
        )
    return TokenFile(name, kind.str, 0, size // kind.itemsize, size)


def _with_header(file: BinaryIO, name: str, size: int, dtype: str | None) -> TokenFile:
    try:
        version = np.lib.format.read_magic(file)
        read = (
            np.lib.format.read_array_header_1_0
            if version == (1, 0)
            else np.lib.format.read_array_header_2_0
        )
        shape, _, kind = read(file)
    except ValueError as error:
        raise UserError(f"{name}: a .npy whose header cannot be read ({error})") from None
    if len(shape) != 1 or kind.kind not in "iu":
        raise UserError(
            f"{name}: a .npy of shape {shape} and {kind}; token files are integers in one dimension"
        )
    if dtype is not None and kind.name != dtype:
        raise UserError(
            f"{name}: dtype is {dtype!r}, but its header says {kind.name}; leave dtype out"
        )
    header, expected = file.tell(), file.tell() + shape[0] * kind.itemsize
    if size != expected or not shape[0]:
        there = (size - header) / kind.itemsize
        raise UserError(
            f"{name}: its header says {shape[0]:,} ids, {there:,.10g} are there; fetch it again"
        )
    return TokenFile(name, kind.str, header, shape[0], size)


def _hashes(files: dict[str, tuple[TokenFile, Path]], folder: Path) -> dict[str, str]:
    """SHA-256 by file; what is known of the same size and time is not read again."""
    kept = folder / "token-hashes.json"
    known: dict[str, Any] = read_json(kept) if kept.is_file() else {}
    stamps = {name: [one.bytes, at.stat().st_mtime_ns] for name, (one, at) in files.items()}
    wanted = [name for name in files if known.get(name, {}).get("stamp") != stamps[name]]
    progress = Progress("corpus token files", sum(files[n][0].bytes for n in wanted), "bytes")
    done = 0
    with ThreadPoolExecutor(HASHERS) as pool:
        digests = pool.map(lambda name: sha256(files[name][1]), wanted)
        for name, digest in zip(wanted, digests, strict=True):
            known[name] = {"stamp": stamps[name], "sha256": digest}
            write_json(kept, known)
            done += files[name][0].bytes
            progress.update(done)
    return {name: known[name]["sha256"] for name in files}
