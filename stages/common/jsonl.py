"""JSONL files that users bring: every line that is no JSON object is named by file and number."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stages.common.errors import UserError


def objects(file: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the objects of a JSONL file with their line numbers, from 1; blank lines are skipped.

    Raises ``UserError`` for a file that cannot be read, and for a line that is no JSON object.
    """
    for number, line in enumerate(_lines(file), start=1):
        if line.strip():
            yield number, _object(file, number, line)


def _lines(file: Path) -> Iterator[str]:
    try:
        with open(file, encoding="utf-8-sig") as lines:  # Windows' editors set a mark
            yield from lines
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise UserError(f"{file}: {reason}; give a JSONL file") from None


def _object(file: Path, number: int, line: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:  # also a number of 5,000 digits
        reason = getattr(error, "msg", None) or str(error).partition(":")[0]
        raise UserError(f"{file} line {number}: not JSON ({reason})") from None
    if not isinstance(row, dict):
        raise UserError(f"{file} line {number}: not a JSON object")
    return row


def texts(file: Path, number: int, row: dict[str, Any], key: str) -> list[str]:
    """A field that must be a list of texts."""
    values = row.get(key)
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise UserError(f"{file} line {number}: no list of texts {key!r} in it")
    return values


def text(file: Path, number: int, row: dict[str, Any], key: str) -> str:
    """A field that must be a text."""
    if not isinstance(row.get(key), str):
        raise UserError(f"{file} line {number}: no text {key!r} in it")
    return str(row[key])
