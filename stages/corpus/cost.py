"""Bytes of the raw documents, where params tell them."""

import os
import sysconfig
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from stages.common.cost import Cost, Layout, vocabulary
from stages.common.errors import UserError
from stages.corpus.kinds import COMPRESSED, kind_of
from stages.corpus.params import PYTHON_LEFT_OUT

if TYPE_CHECKING:
    from stages.params import Params

KNOWN_TOKENS: dict[tuple[str | None, str | None], int] = {
    ("allenai/dolmino-mix-1124", None): 843_000_000_000,
    ("allenai/dolmino-mix-1124", "dclm"): 752_000_000_000,
    ("allenai/dolmino-mix-1124", "flan"): 17_000_000_000,
    ("allenai/dolmino-mix-1124", "math"): 10_700_000_000,
    ("allenai/dolmino-mix-1124", "pes2o"): 58_600_000_000,
    ("allenai/dolmino-mix-1124", "stackexchange"): 1_260_000_000,
    ("allenai/dolmino-mix-1124", "wiki"): 3_700_000_000,
}
"""Data sets of the hub and their configurations by their whole size in tokens (rounded, of the data
set's card): that is what a source without a limit reads. OLMo-2's second stage was trained on 51.47 B
chosen tokens of this one (PAPER.md section 3)."""
HASHED_PER_CORE_SECOND = 400e6
"""Bytes of SHA-256 with the disk's reading (assumed)."""
BYTES_PER_TOKEN = 4.27
"""Of a large vocabulary on English text (PERFORMANCE.md: 3.5 MB/s are 0.82 M tokens/s)."""
BYTES_PER_TOKEN_SMALL = 2.5
"""Of a vocabulary of a thousand or so (profile tiny)."""


def cost(params: "Params", variant: str | None, layout: Layout) -> Cost:
    """Disk that the documents take."""
    size, wanted = written_bytes(params), fetch_bytes(params)
    note = "" if size is not None else "the size of the documents is not known offline"
    there = ready_tokens(params)
    return Cost(
        tokens=there or None,
        core_seconds=there * 4 / HASHED_PER_CORE_SECOND if there else None,
        fetch_bytes=wanted,
        disk_bytes=size if size is None else size + wanted,
        note=note,
    )


def fetch_bytes(params: "Params", root: Path = Path()) -> float:
    """Of the token files of lists that are not here yet; reckoned from rounded tokens until learned."""
    if not params.corpus.ready:
        return 0.0
    from stages.corpus.ready import known_of, list_of, place  # NumPy and Arrow

    total = 0.0
    for name, source in params.corpus.ready.items():
        if source.files is None:
            continue
        try:
            one, known = list_of(name, source, root), known_of(source, root)
        except UserError:
            continue  # the stage's check says why
        absent = [file for file in one.files if not place(source, file, root).is_file()]
        if all(file in known for file in absent):
            total += sum(known[file]["bytes"] for file in absent)
        else:
            total += one.bytes(known)[0] * len(absent) / len(one.files)
    return total


def text_bytes(params: "Params", root: Path = Path()) -> float | None:
    """UTF-8 bytes of all documents; none where that cannot be known offline."""
    return _sum(source_bytes(params, root).values())


def written_bytes(params: "Params", root: Path = Path()) -> float | None:
    """Of those documents that are no files yet: generated, or fetched from a hub."""
    return _sum(
        size
        for name, size in source_bytes(params, root).items()
        if params.corpus.kind(name) != "local"
    )


def _sum(sizes: Iterable[float | None]) -> float | None:
    found = list(sizes)
    known = [size for size in found if size is not None]
    return float(sum(known)) if len(known) == len(found) else None


def source_bytes(params: "Params", root: Path = Path()) -> dict[str, float | None]:
    """UTF-8 bytes of each source of documents; none where that cannot be known offline."""
    corpus = params.corpus
    found: dict[str, float | None] = {}
    if corpus.source == "python":
        found["python"] = min(corpus.python.max_bytes, _python()) if corpus.python else None
    elif corpus.source == "local":
        found["local"] = _of_path(corpus.path, root)
    elif corpus.source == "hub":
        tokens = KNOWN_TOKENS.get((corpus.dataset, corpus.config))
        found["hub"] = tokens * BYTES_PER_TOKEN if tokens else None
    found |= {name: float(part.bytes) for name, part in corpus.generated.items()}
    for name, one in corpus.sources.items():
        if one.kind != "tokens":
            known = KNOWN_TOKENS.get((one.dataset, one.config))
            size = known * BYTES_PER_TOKEN if known else _of_path(one.path, root)
            # What a limit asks for is taken to be there.
            most = float(one.max_bytes) if one.max_bytes else None
            found[name] = most if size is None else min(size, most or size)
    return found


@cache
def _python() -> float:
    """About all text that the running Python has: sources, and the docstrings once more."""
    size = 0
    for folder, names, files in os.walk(sysconfig.get_path("stdlib")):
        names[:] = [name for name in names if name not in PYTHON_LEFT_OUT]
        size += sum(Path(folder, name).stat().st_size for name in files if name.endswith(".py"))
    return 1.25 * size


def source_tokens(params: "Params", root: Path = Path()) -> dict[str, float | None]:
    """Tokens that each source has to train on: of ready files as they are, of documents estimated."""
    kept = 1.0 - params.corpus.validation_share
    each = bytes_per_token(params)
    sizes = source_bytes(params, root)
    found = {name: None if size is None else size / each * kept for name, size in sizes.items()}
    ready = {name: float(ready_of(params, name, root)) for name in params.corpus.ready}
    found |= {name: count * kept or None for name, count in ready.items()}
    return {name: found.get(name) for name in params.corpus.names}


def bytes_per_token(params: "Params", words: int | None = None) -> float:
    """UTF-8 bytes that a token stands for, by the size of the vocabulary (``words``: if known else)."""
    words = vocabulary(params) or words
    return BYTES_PER_TOKEN_SMALL if words and words < 8192 else BYTES_PER_TOKEN


def _of_path(path: str | None, root: Path) -> float | None:
    """Bytes of local documents; none for what is not here."""
    there = path is not None and (root / path).exists()
    if path is not None and (root / path).is_file() and kind_of(root / path) is None:
        return None  # no documents: the check refuses it
    if path is not None and root.resolve().is_relative_to((root / path).resolve()):
        return None  # it holds the project itself: the check refuses it, and walks no disk
    return float(_bytes_at(root / path)) if there and path is not None else None


def _bytes_at(path: Path) -> int:
    try:
        found = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
        # Text of this kind shrinks to a third under gzip and zstd, and a little more under bzip2.
        return sum(f.stat().st_size * (3 if f.suffix in COMPRESSED else 1) for f in found)
    except OSError:
        return 0  # the stage's check says why


def ready_tokens(params: "Params", root: Path = Path()) -> int:
    """Tokens in the sources that are token files, by their sizes; a missing file counts none."""
    return sum(ready_of(params, name, root) for name in params.corpus.ready)


def ready_of(params: "Params", name: str, root: Path = Path()) -> int:
    """Tokens of one such source."""
    from stages.corpus.ready import described  # NumPy: only where there are such files

    source = params.corpus.ready[name]
    try:
        found = described(f"corpus.sources.{name}", source, root)
        return sum(file.tokens for file in found)
    except UserError:
        if source.files is None:
            return 0  # the stage's check says why
    return round(listed_tokens(params, name, root)[0])


def listed_tokens(params: "Params", name: str, root: Path = Path()) -> tuple[float, bool]:
    """Tokens of a source of a list, and whether they are counted and not the list's rounded number."""
    from stages.corpus.listed import ID_BYTES
    from stages.corpus.ready import known_of, list_of

    source = params.corpus.ready[name]
    try:
        one = list_of(name, source, root)
        size, counted = one.bytes(known_of(source, root))
    except UserError:
        return 0.0, False
    return size / ID_BYTES[one.dtype], counted


def tokens(params: "Params") -> int | None:
    """Tokens that are made of the documents, estimated."""
    size = text_bytes(params)
    return None if size is None else round(size / bytes_per_token(params))
