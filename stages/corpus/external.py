"""Documents of the user's own files or of a hub dataset, each with the place to go on from."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from stages.common import paths
from stages.common.errors import UserError
from stages.corpus.params import CorpusParams
from stages.corpus.reading.found import DataFile, data_files
from stages.corpus.reading.rows import rows

Cursor = tuple[int, int]
"""A file's number in the listing, and the rows read in it: what is read before a kill stays read."""


class Taken(NamedTuple):
    """What one row of the source gave."""

    text: str | None
    """None for a row that was left out (``on_bad_row: skip``)."""
    cursor: Cursor
    """Where the reading stands behind this row."""
    problem: str = ""
    """Place and reason of a row left out."""


def documents(params: CorpusParams, cursor: Cursor = (0, 0)) -> Iterator[Taken]:
    """Yield the texts of the source in its own order, from ``cursor`` on.

    Raises ``UserError`` at a row without a text, unless ``on_bad_row`` says to skip it.
    """
    return _local(params, cursor) if params.source == "local" else _hub(params, cursor)


def listing(params: CorpusParams) -> str:
    """Digest of names, sizes and times of the local files: other files, another corpus."""
    digest = hashlib.sha256()
    if params.source == "local":
        for file in _files(params):
            found = file.path.stat()
            digest.update(f"{file.path} {found.st_size} {found.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:16]


def _files(params: CorpusParams) -> list[DataFile]:
    assert params.path is not None
    path = Path(params.path)
    if paths.CORPUS.resolve().is_relative_to(path.resolve()):
        raise UserError(
            f"corpus.path is {params.path!r}, which holds {paths.CORPUS}, where the pipeline writes "
            "documents; move yours to a folder of their own"
        )
    return data_files(path, params.text_field)


def _local(params: CorpusParams, cursor: Cursor) -> Iterator[Taken]:
    assert params.path is not None
    first, skip = cursor
    for index, (path, kind) in enumerate((f.path, f.kind) for f in _files(params)):
        if index < first:
            continue
        done = skip if index == first else 0
        for number, row in enumerate(rows(path, kind, params.text_field, done), start=done + 1):
            at = (index, number)
            if row.text is not None:
                yield Taken(row.text, at)
            else:
                yield Taken(None, at, _bad(params, path, row.place, row.problem))


def _bad(params: CorpusParams, path: Path, place: str, problem: str) -> str:
    """Where and why a row is left out; raises ``UserError`` where none may be."""
    if params.on_bad_row == "stop":
        raise UserError(
            f"{path} {place}: {problem}; correct the row (or corpus.text_field, now "
            f"{params.text_field!r}), or set corpus.on_bad_row: skip"
        )
    root = Path(params.path or "")
    name = path.relative_to(root) if path != root else Path(path.name)
    return f"{name.as_posix()} {place}: {problem}"


def _hub(params: CorpusParams, cursor: Cursor) -> Iterator[Taken]:
    from datasets import load_dataset  # 2 s to import: only where it is used

    assert params.dataset is not None
    rows_of_hub = load_dataset(
        params.dataset, params.config, revision=params.revision, split="train", streaming=True
    )
    for number, row in enumerate(rows_of_hub.skip(cursor[1]), start=cursor[1] + 1):
        text = row.get(params.text_field)
        if isinstance(text, str):
            yield Taken(text, (0, number))
            continue
        problem = f"no text {params.text_field!r} in it, only {sorted(row)}"
        place = Path(params.dataset)
        yield Taken(None, (0, number), _bad(params, place, f"row {number}", problem))
