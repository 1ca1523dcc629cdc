"""How the user's files begin: for the check."""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from stages.corpus.reading.found import DataFile
from stages.corpus.reading.rows import Row, rows

LOOKED = 200
"""Rows of the first file that are looked at."""
LETTERS = 1 << 22
"""After so many letters no further row: one may be a book."""


class Start(NamedTuple):
    """How a source begins."""

    bad: tuple[DataFile, Row] | None
    """The first row without a text, and its file; none: every row has one."""
    blank: bool
    """Whether all texts are blank, or there are none."""
    filled: tuple[bool, ...] | None
    """Of each text, whether there is something in it; none where more rows follow."""


def start(files: Sequence[DataFile], field: str) -> Start:
    """The first rows of the first file, and the first of the last one: another format shows there."""
    taken, ended = _first(files[0], field)
    looked = [(files[0], row) for row in taken]
    if len(files) > 1:
        looked += [(files[-1], row) for row in islice(_rows(files[-1], field), 1)]
    bad = next(((file, row) for file, row in looked if row.text is None), None)
    filled = tuple(bool(row.text.strip()) for row in taken if row.text is not None)
    if len(files) == 1:
        return Start(bad, not any(filled), filled if ended else None)
    texts = all(one.kind == "text" for one in files)  # a document each
    return Start(bad, not texts and not any(filled), (True,) * len(files) if texts else None)


def _rows(file: DataFile, field: str) -> Iterator[Row]:
    return rows(file.path, file.kind, field)


def _first(file: DataFile, field: str) -> tuple[list[Row], bool]:
    """The first rows, and whether they are all."""
    found: list[Row] = []
    letters = 0
    for row in _rows(file, field):
        if len(found) == LOOKED or letters > LETTERS:
            return found, False
        found.append(row)
        letters += len(row.text or "")
    return found, True
