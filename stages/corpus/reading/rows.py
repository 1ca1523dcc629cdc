"""The text of every row of a file, or what is wrong with the row."""

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from stages.common.errors import UserError
from stages.corpus.reading.opened import READ_BYTES, lines, opened, unpacked

ARRAY_BYTES = 1 << 30
"""Largest JSON array that is read: it must stand in memory as a whole."""
PARQUET_ROWS = 256
SAMPLE = 1 << 16
"""Bytes of a text file that are looked at for another encoding."""


class Offset(NamedTuple):
    """Where a file of lines that is not packed goes on: a place that can be sought."""

    bytes: int
    lines: int
    """Lines before it."""


class Row(NamedTuple):
    """A row of a file."""

    place: str
    """``line 3`` or ``row 3``, counted from 1."""
    text: str | None
    problem: str = ""
    """Why there is no text."""
    behind: Offset | None = None
    """Where the next row is looked for, in a file of lines that is not packed."""


def rows(
    file: Path, kind: str, field: str, skip: int = 0, offset: Offset | None = None
) -> Iterator[Row]:
    """Rows of the file (blank lines are none), the first ``skip`` of them left out.

    ``offset``: where they end, as ``behind`` of the last of them said; nothing is read to find it.
    Raises ``UserError`` for what is wrong with the file as a whole: cut short, no such column.
    """
    if kind == "parquet":
        return _parquet(file, field, skip)
    return _text(file, skip) if kind == "text" else _json(file, field, skip, offset)


def first_has_text(file: Path, field: str) -> bool:
    """Whether the file begins with a row of documents (a hub's JSON beside data does not)."""
    first = next(rows(file, "json", field), None)
    return first is not None and first.text is not None


def _json(file: Path, field: str, skip: int, offset: Offset | None) -> Iterator[Row]:
    with unpacked(file) as stream:
        if offset is not None:
            stream.seek(offset.bytes)
            yield from (_of_line(line, field) for line in _numbered(file, stream, offset))
            return
        found = _numbered(file, stream, Offset(0, 0))
        start = list(itertools.islice(found, 2))
        if not start or not _is_array(start):
            for line in itertools.islice(itertools.chain(start, found), skip, None):
                yield _of_line(line, field)
            return
    yield from _array(file, field, skip)


class _Line(NamedTuple):
    content: bytes
    number: int
    behind: Offset | None


def _numbered(file: Path, stream: Any, at: Offset) -> Iterator[_Line]:
    """Lines that are not blank, from ``at`` on."""
    size, can_be_sought = at.bytes, not isinstance(stream, pa.CompressedInputStream)
    for number, line in enumerate(lines(stream), start=at.lines + 1):
        size += len(line) + 1
        content = _without_mark(file, line) if number == 1 else line
        if content.strip():
            yield _Line(content, number, Offset(size, number) if can_be_sought else None)


def _is_array(start: list[_Line]) -> bool:
    """Whether a file is one array, by its first two lines: the first is no whole row of several."""
    first = start[0].content
    if first.lstrip()[:1] != b"[":
        return False
    try:
        json.loads(first)
    except (ValueError, RecursionError):
        return True
    return len(start) == 1


def _array(file: Path, field: str, skip: int) -> Iterator[Row]:
    with unpacked(file) as stream:
        content = bytearray()
        while block := stream.read(READ_BYTES):
            content += block
            if len(content) > ARRAY_BYTES:
                raise UserError(
                    f"{file}: a JSON array of over {ARRAY_BYTES >> 30} GiB; write one object a line"
                )
    try:
        values = _value(bytes(content).removeprefix(b"\xef\xbb\xbf"))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{file}: not a JSON array ({_first_line(error)})") from None
    for number, value in enumerate(values[skip:], start=skip + 1):
        yield _of_value(f"row {number}", value, field)


def _of_line(line: _Line, field: str) -> Row:
    place = f"line {line.number}"
    try:
        value = _value(line.content)
    except (ValueError, RecursionError) as error:
        return Row(place, None, f"not JSON ({_first_line(error)})", line.behind)
    return _of_value(place, value, field)._replace(behind=line.behind)


def _value(content: bytes) -> Any:
    try:
        return orjson.loads(content)
    except ValueError:
        # NaN, a lone surrogate or a byte that is not UTF-8 may stand in a field nobody asked for.
        return json.loads(content.decode("utf-8", "surrogateescape"), parse_int=float)


def _of_value(place: str, value: Any, field: str) -> Row:
    if not isinstance(value, dict):
        return Row(place, None, "not a JSON object")
    found: Any = value
    for part in [field] if field in value else field.split("."):
        if not isinstance(found, dict) or part not in found:
            return Row(place, None, f"no {field!r} in it, only {_some(value)}")
        found = found[part]
    return _checked(place, found, field)


def _checked(place: str, found: Any, field: str) -> Row:
    if found is None:
        return Row(place, None, f"{field!r} is null")
    if not isinstance(found, str):
        return Row(place, None, f"{field!r} is a {type(found).__name__}, not a text")
    if not found.isascii():
        try:
            found.encode()
        except UnicodeEncodeError:
            return Row(
                place, None, f"{field!r} is not UTF-8 (a lone surrogate or another encoding)"
            )
    return Row(place, found)


def _text(file: Path, skip: int) -> Iterator[Row]:
    if skip:
        return
    with unpacked(file) as stream:
        content = _without_mark(file, stream.read())
    if content[:SAMPLE].count(0) > len(content[:SAMPLE]) // 4:
        raise UserError(f"{file}: full of zero bytes: UTF-16 or no text; convert it to UTF-8")
    yield _decoded("line 1", content, "the file")


def _decoded(place: str, content: bytes, what: str) -> Row:
    try:
        return Row(place, content.decode("utf-8"))
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        where = f"line {line}" if place == "line 1" else place
        return Row(where, None, f"{what} is not UTF-8")


def _without_mark(file: Path, content: bytes) -> bytes:
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise UserError(f"{file}: UTF-16; convert it to UTF-8")
    return content.removeprefix(b"\xef\xbb\xbf")


def _parquet(file: Path, field: str, skip: int) -> Iterator[Row]:
    with unpacked(file):
        pass  # a pointer of Git LFS in its place is named here
    try:
        with opened(file) as raw, pq.ParquetFile(raw) as parquet:
            parts = _column(file, parquet.schema_arrow, field)
            counts = [parquet.metadata.row_group(g).num_rows for g in range(parquet.num_row_groups)]
            number = group = 0
            while group < len(counts) and number + counts[group] <= skip:
                number, group = number + counts[group], group + 1
            for batch in parquet.iter_batches(
                PARQUET_ROWS,
                row_groups=range(group, len(counts)),
                columns=[".".join(parts)],
                use_threads=False,
            ):
                for value in _values(batch, parts):
                    number += 1
                    if number > skip:
                        yield _of_cell(f"row {number}", value, field)
    except (OSError, pa.ArrowException) as error:
        raise UserError(f"{file}: not a whole Parquet file ({_first_line(error)})") from None


def _of_cell(place: str, value: bytes | None, field: str) -> Row:
    return (
        Row(place, None, f"{field!r} is null")
        if value is None
        else _decoded(place, value, repr(field))
    )


def _column(file: Path, schema: pa.Schema, field: str) -> list[str]:
    """Path of the column; raises ``UserError`` where it is missing or holds no text."""
    parts = [field] if field in schema.names else field.split(".")
    if parts[0] not in schema.names:
        raise UserError(
            f"{file}: corpus.text_field is {field!r}, but the columns are {_some(schema.names)}; "
            "name the one that holds the text"
        )
    if len(schema.get_all_field_indices(parts[0])) > 1:
        raise UserError(f"{file}: several columns are called {parts[0]!r}; give each its own name")
    kind = schema.field(parts[0]).type
    for part in parts[1:]:
        if not pa.types.is_struct(kind) or kind.get_field_index(part) < 0:
            raise UserError(f"{file}: corpus.text_field is {field!r}: no {part!r} in {kind}")
        kind = kind.field(part).type
    inner = kind.value_type if pa.types.is_dictionary(kind) else kind
    tests = (
        pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view, pa.types.is_binary,
        pa.types.is_large_binary, pa.types.is_binary_view, pa.types.is_null,
    )  # fmt: skip
    if not any(test(inner) for test in tests):
        raise UserError(f"{file}: corpus.text_field is {field!r}, a column of {kind}, not of text")
    return parts


def _values(batch: pa.RecordBatch, parts: list[str]) -> list[bytes | None]:
    """Cells as bytes: text that is not UTF-8 would end the reading of all other rows."""
    array = batch.column(parts[0])
    for part in parts[1:]:
        array = pc.struct_field(array, part)
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    values: list[bytes | None] = array.cast(pa.large_binary()).to_pylist()
    return values


def _some(names: Any) -> list[str]:
    return sorted(map(str, names))[:8]


def _first_line(error: BaseException) -> str:
    return (str(error).partition("\n")[0].partition(": line 1")[0])[:120]
