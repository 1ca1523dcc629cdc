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
    """Its path as the params give it: relative to the project, or absolute."""
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
    hashes = _hashes([file for files in found.values() for file in files], folder)
    return {
        name: {
            "tokenizer_hash": params.ready[name].tokenizer_hash,
            "validation_share": params.validation_share,
            "whole_documents": params.ready[name].whole_documents,
            "files": [{**asdict(file), "sha256": hashes[file.file]} for file in files],
        }
        for name, files in found.items()
    }


def described(key: str, source: NamedSource, root: Path = Path()) -> Iterator[TokenFile]:
    """The files of a source in order of their names; raises ``UserError`` that names the file.

    ``key``: where the source stands in the params; ``root``: what relative paths start from.
    """
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
        name = source.path if path.is_file() else (Path(source.path) / file.relative_to(path))
        yield _described(file, str(name), source.dtype)


def ids(file: Path, described: TokenFile) -> np.ndarray[Any, Any]:
    """The ids, mapped and not read."""
    kind, first = np.dtype(described.dtype), described.header
    return np.memmap(file, dtype=kind, mode="r", offset=first, shape=(described.tokens,))


def _is_tokens(file: Path) -> bool:
    return file.name.lower().endswith(SUFFIXES)


def _described(file: Path, name: str, dtype: str | None) -> TokenFile:
    size = file.stat().st_size
    with open(file, "rb") as opened:
        if opened.read(len(MAGIC)) == MAGIC:
            opened.seek(0)
            return _with_header(opened, name, size, dtype)
    kind = np.dtype(dtype or "uint32").newbyteorder("<")
    if not size:
        raise UserError(f"{name}: empty; fetch it again, or move it away")
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


def _hashes(files: list[TokenFile], folder: Path) -> dict[str, str]:
    """SHA-256 by file; what is known of the same size and time is not read again."""
    kept = folder / "token-hashes.json"
    known: dict[str, Any] = read_json(kept) if kept.is_file() else {}
    stamps = {one.file: [one.bytes, Path(one.file).stat().st_mtime_ns] for one in files}
    wanted = [one for one in files if known.get(one.file, {}).get("stamp") != stamps[one.file]]
    progress = Progress("corpus token files", sum(one.bytes for one in wanted), "bytes")
    done = 0
    with ThreadPoolExecutor(HASHERS) as pool:
        for one, digest in zip(
            wanted, pool.map(lambda f: sha256(Path(f.file)), wanted), strict=True
        ):
            known[one.file] = {"stamp": stamps[one.file], "sha256": digest}
            write_json(kept, known)
            done += one.bytes
            progress.update(done)
    return {one.file: known[one.file]["sha256"] for one in files}
