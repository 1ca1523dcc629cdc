"""Documents of the user's own files or of a hub dataset, each with the place to go on from."""

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from stages.common import paths
from stages.common.errors import UserError, one_line
from stages.corpus.params import CorpusParams
from stages.corpus.reading.found import DataFile, data_files
from stages.corpus.reading.rows import Offset, rows


class Cursor(NamedTuple):
    """A place in a source: what is read before a kill stays read."""

    file: int = 0
    """Number in the listing."""
    rows: int = 0
    """Read in it."""
    offset: tuple[int, int] | None = None
    """Where they end, where that place can be sought (``reading.rows.Offset``)."""


START = Cursor()


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
    params: CorpusParams, cursor: Cursor = START, name: str | None = None
) -> Iterator[Taken]:
    """Yield the texts of the source in its own order, from ``cursor`` on.

    ``name``: one of ``corpus.sources``; none: ``corpus.source`` itself.

    Raises ``UserError`` at a row without a text, unless ``on_bad_row`` says to skip it.
    """
    one = reading(params, name or params.source)
    if one.kind == "local":
        return of_files(one, files(one), cursor)
    return _hub(one, cursor)


def listing(params: CorpusParams) -> str:
    """Digest of names, sizes and times of the local files: other files, another corpus."""
    digest = hashlib.sha256()
    for name in params.names:
        one = reading(params, name)
        for file in files(one) if one.kind == "local" and name not in params.generated else ():
            found = file.path.stat()
            digest.update(os.fsencode(f"{file.path} {found.st_size} {found.st_mtime_ns}\n"))
    return digest.hexdigest()[:16]


def files(params: Reading) -> list[DataFile]:
    """The files of a local source, in the order in which they are read."""
    assert params.path is not None
    path = Path(params.path)
    if paths.CORPUS.resolve().is_relative_to(path.resolve()):
        raise UserError(
            f"{params.key}.path is {params.path!r}, which holds {paths.CORPUS}, where the pipeline "
            "writes documents; move yours to a folder of their own"
        )
    return data_files(path, params.text_field, params.key)


def of_files(params: Reading, listed: Sequence[DataFile], cursor: Cursor) -> Iterator[Taken]:
    """Rows of the files from ``cursor`` on."""
    for index, (path, kind) in enumerate((f.path, f.kind) for f in listed):
        if index < cursor.file:
            continue
        at = cursor if index == cursor.file else Cursor(index)
        offset = None if at.offset is None else Offset(*at.offset)
        found = rows(path, kind, params.text_field, at.rows, offset)
        for number, row in enumerate(found, start=at.rows + 1):
            behind = Cursor(index, number, row.behind)
            if row.text is not None:
                yield Taken(row.text, behind)
            else:
                yield Taken(None, behind, _bad(params, path, row.place, row.problem))


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
    for number, row in enumerate(rows_of_hub.skip(cursor.rows), start=cursor.rows + 1):
        text = row.get(params.text_field)
        if isinstance(text, str):
            yield Taken(text, Cursor(0, number))
            continue
        problem = f"no text {params.text_field!r} in it, only {sorted(row)}"
        place = Path(params.dataset)
        yield Taken(None, Cursor(0, number), _bad(params, place, f"row {number}", problem))
