"""The documents: there, not empty, with the text field; room for them."""

import gzip
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

from stages.common.findings import Finding, refuse
from stages.common.seen import Seen
from stages.corpus.cost import text_bytes

_HEAD = 1 << 20
"""Bytes of a file that are looked at: a first row longer than that is not judged."""


def check(seen: Seen) -> Iterator[Finding]:
    """Findings of ``corpus``."""
    corpus = seen.params.corpus
    if corpus.source == "local" and corpus.path is not None:
        yield from _local(seen, corpus.path)
    size = text_bytes(seen.params, seen.root)
    if size is not None and not seen.elsewhere and not seen.planning:
        free = shutil.disk_usage(seen.root).free
        if 2 * size > free:  # the text, and the ids of its tokens
            yield refuse(
                "corpus.source",
                corpus.source,
                f"text and tokens take {2 * size / 1e9:,.0f} GB, {free / 1e9:,.0f} GB are free",
                "free some, or take fewer documents (corpus.max_documents)",
            )


def _local(seen: Seen, name: str) -> Iterator[Finding]:
    path = seen.path(name)
    if not path.exists():
        level = seen.absent(name)
        yield level("corpus.path", name, "no such file or folder", "name the documents")
        return
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    if not any(file.stat().st_size for file in files):
        yield refuse("corpus.path", name, "nothing in it", "name the documents")
        return
    texts = [f for f in files if f.suffixes[-1:] in ([".jsonl"], [".ndjson"])]
    texts += [f for f in files if f.suffixes[-2:] in ([".jsonl", ".gz"], [".ndjson", ".gz"])]
    if texts:
        yield from _first_row(seen, name, texts[0])


def _first_row(seen: Seen, name: str, file: Path) -> Iterator[Finding]:
    """The first row stands for all: a wrong field or another format shows at once."""
    field = seen.params.corpus.text_field
    try:
        with gzip.open(file) if file.suffix == ".gz" else file.open("rb") as opened:
            head = opened.read(_HEAD)
    except (OSError, EOFError):
        yield refuse("corpus.path", name, f"{file.name} cannot be read", "copy the file again")
        return
    lines = [line for line in head.removeprefix(b"\xef\xbb\xbf").splitlines(True) if line.strip()]
    if not lines or (len(head) == _HEAD and len(lines) == 1):
        return
    try:
        row = json.loads(lines[0])
    except ValueError:
        yield refuse(
            "corpus.path",
            name,
            f"the first line of {file.name} is no JSON",
            'write one {"text": ...} a line',
        )
        return
    if not isinstance(row, dict):
        yield refuse(
            "corpus.path",
            name,
            f"the first line of {file.name} is no JSON object",
            'write one {"text": ...} a line',
        )
    elif field not in row and "." not in field:
        yield refuse(
            "corpus.text_field",
            field,
            f"the first row of {file.name} has only {sorted(row)}",
            "name the field that holds the text",
        )
