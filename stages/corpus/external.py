"""Documents of the user's own files or of a hub dataset, each with the place to go on from."""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from stages.common import paths
from stages.common.errors import UserError, one_line
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


@dataclass(frozen=True)
class Reading:
    """What is read of one source, whether it is ``corpus`` itself or one of ``corpus.sources``."""

    key: str
    """Where its params stand."""
    kind: str
    """``local`` or ``hub``."""
    path: str | None
    text_field: str
    on_bad_row: str
    dataset: str | None
    config: str | None
    revision: str | None


def reading(params: CorpusParams, name: str) -> Reading:
    """The source ``name`` of the user's files or of the hub."""
    one = params.sources.get(name)
    found, key = (one, f"corpus.sources.{name}") if one else (params, "corpus")
    return Reading(
        key,
        one.kind if one else params.source,
        found.path,
        found.text_field,
        found.on_bad_row,
        found.dataset,
        found.config,
        found.revision,
    )


def documents(
    params: CorpusParams, cursor: Cursor = (0, 0), name: str | None = None
) -> Iterator[Taken]:
    """Yield the texts of the source in its own order, from ``cursor`` on.

    ``name``: one of ``corpus.sources``; none: ``corpus.source`` itself.

    Raises ``UserError`` at a row without a text, unless ``on_bad_row`` says to skip it.
    """
    one = reading(params, name or params.source)
    return _local(one, cursor) if one.kind == "local" else _hub(one, cursor)


def listing(params: CorpusParams) -> str:
    """Digest of names, sizes and times of the local files: other files, another corpus."""
    digest = hashlib.sha256()
    for name in params.names:
        one = reading(params, name)
        for file in _files(one) if one.kind == "local" and name not in params.generated else ():
            found = file.path.stat()
            digest.update(os.fsencode(f"{file.path} {found.st_size} {found.st_mtime_ns}\n"))
    return digest.hexdigest()[:16]


def _files(params: Reading) -> list[DataFile]:
    assert params.path is not None
    path = Path(params.path)
    if paths.CORPUS.resolve().is_relative_to(path.resolve()):
        raise UserError(
            f"{params.key}.path is {params.path!r}, which holds {paths.CORPUS}, where the pipeline "
            "writes documents; move yours to a folder of their own"
        )
    return data_files(path, params.text_field, params.key)


def _local(params: Reading, cursor: Cursor) -> Iterator[Taken]:
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


def _bad(params: Reading, path: Path, place: str, problem: str) -> str:
    """Where and why a row is left out; raises ``UserError`` where none may be."""
    if params.on_bad_row == "stop":
        raise UserError(
            f"{path} {place}: {problem}; correct the row (or {params.key}.text_field, "
            f"now {params.text_field!r}), or set {params.key}.on_bad_row: skip"
        )
    root = Path(params.path or "")
    name = path.relative_to(root) if path != root else Path(path.name)
    return one_line(f"{name.as_posix()} {place}: {problem}")


def _hub(params: Reading, cursor: Cursor) -> Iterator[Taken]:
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
