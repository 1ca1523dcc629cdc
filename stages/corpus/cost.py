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
    sizes = list(source_bytes(params, root).values())
    known = [size for size in sizes if size is not None]
    return float(sum(known)) if len(known) == len(sizes) else None


def source_bytes(params: "Params", root: Path = Path()) -> dict[str, float | None]:
    """UTF-8 bytes of each source of documents; none where that cannot be known offline."""
    corpus = params.corpus
    found: dict[str, float | None] = {}
    if corpus.source == "python":
        found["python"] = float(corpus.python.max_bytes) if corpus.python else None
    elif corpus.source == "local":
        found["local"] = _of_path(corpus.path, root)
    elif corpus.source == "hub":
        tokens = KNOWN_TOKENS.get(corpus.dataset or "")
        found["hub"] = tokens * BYTES_PER_TOKEN if tokens else None
    found |= {name: float(part.bytes) for name, part in corpus.generated.items()}
    for name, one in corpus.sources.items():
        if one.kind != "tokens":
            found[name] = _of_path(one.path, root) if one.kind == "local" else None
    return found


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
    there = path is not None and (root / path).exists()
    return float(_bytes_at(root / path)) if there and path is not None else None


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
    size = text_bytes(params)
    return None if size is None else round(size / bytes_per_token(params))
