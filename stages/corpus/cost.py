"""Bytes of the raw documents, where params tell them."""

from pathlib import Path
from typing import TYPE_CHECKING

from stages.common.cost import Cost, Layout, vocabulary
from stages.common.errors import UserError

if TYPE_CHECKING:
    from stages.params import Params

KNOWN_TOKENS = {"allenai/dolmino-mix-1124": 843_000_000_000}
"""Data sets of the hub by their whole size (rounded): that is what a source without ``max_documents``
reads. OLMo-2's second stage was trained on 51.47 B chosen tokens of this one (PAPER.md section 3)."""
BYTES_PER_TOKEN = 4.27
"""Of a large vocabulary on English text (PERFORMANCE.md: 3.5 MB/s are 0.82 M tokens/s)."""
BYTES_PER_TOKEN_SMALL = 2.5
"""Of a vocabulary of a thousand or so (profile tiny)."""


def cost(params: "Params", variant: str | None, layout: Layout) -> Cost:
    """Disk that the documents take."""
    size = text_bytes(params)
    note = "" if size is not None else "the size of the documents is not known offline"
    return Cost(disk_bytes=size, note=note)


def text_bytes(params: "Params", root: Path = Path()) -> float | None:
    """UTF-8 bytes of all documents; none where that cannot be known offline."""
    corpus = params.corpus
    generated = sum(part.bytes for part in corpus.generated.values())
    for one in corpus.sources.values():
        if one.kind == "hub":
            return None
        if one.kind == "local" and one.path is not None:
            if not (root / one.path).exists():
                return None
            generated += _bytes_at(root / one.path)
    if corpus.source == "named":
        return float(generated)
    if corpus.source == "python" and corpus.python:
        return float(corpus.python.max_bytes + generated)
    if corpus.source == "local" and corpus.path and (root / corpus.path).exists():
        return float(generated + _bytes_at(root / corpus.path))
    known = KNOWN_TOKENS.get(corpus.dataset or "")
    return known * BYTES_PER_TOKEN + generated if known else None


def _bytes_at(path: Path) -> int:
    found = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    # Text of this kind shrinks to a third under gzip and zstd.
    return sum(f.stat().st_size * (3 if f.suffix in (".gz", ".zst") else 1) for f in found)


def ready_tokens(params: "Params", root: Path = Path()) -> int:
    """Tokens in the sources that are token files, by their sizes; a missing file counts none."""
    return sum(ready_of(params, name, root) for name in params.corpus.ready)


def ready_of(params: "Params", name: str, root: Path = Path()) -> int:
    """Tokens of one such source."""
    from stages.corpus.ready import described  # NumPy: only where there are such files

    try:
        found = described(f"corpus.sources.{name}", params.corpus.ready[name], root)
        return sum(file.tokens for file in found)
    except UserError:
        return 0  # the stage's check says why


def tokens(params: "Params") -> int | None:
    """Tokens that are made of the documents, estimated."""
    size, words = text_bytes(params), vocabulary(params)
    if size is None:
        return None
    each = BYTES_PER_TOKEN_SMALL if words and words < 8192 else BYTES_PER_TOKEN
    return round(size / each)
