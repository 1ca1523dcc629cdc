"""Least and most of every number of params.yaml and of a model's config.json: one table.

A type says that a number may be a learning rate; the table says what no sane one is. Every number of
the schema has a row (a test asks), so that no field can be given a value which only shows its absurdity
after hours. The bounds are wide: whoever has a reason to pass one changes the table.
"""

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from stages.common.findings import Finding, refuse

TRAINING = re.compile(
    r"^(?:base\.training|train|extend\.training|definitions\.\w+\.train\.overrides)\."
)
"""Starts of the fields that the rows ``training.*`` are for."""
ANY = "*"
"""In a row: any one key, or any item of a list."""


@dataclass(frozen=True)
class Bound:
    """A row of the table."""

    least: float
    most: float
    usual: float
    """The paper's, the official or a small run's: what the refusal shows."""

    def holds(self, value: float) -> bool:
        """Whether ``value`` is a number within; NaN is not."""
        return math.isfinite(value) and self.least <= value <= self.most


@cache
def table() -> dict[tuple[str, ...], Bound]:
    """Keys of a field -> its bound."""
    text = (files("stages.common") / "data" / "bounds.json").read_text(encoding="utf-8")
    return {tuple(name.split(".")): Bound(*row) for name, row in json.loads(text).items()}


def bound_of(field: str) -> Bound | None:
    """The row for ``field``, with the keys of dicts and the places of items in it."""
    keys = tuple(TRAINING.sub("training.", field).split("."))
    for row, bound in table().items():
        if len(row) == len(keys) and all(a in (b, ANY) for a, b in zip(row, keys, strict=True)):
            return bound
    return None


def check(field: str, content: Any) -> Iterator[Finding]:
    """Numbers below ``field`` that are out of bounds; of a list of numbers the first."""
    lists: set[str] = set()
    for name, value in numbers(content, field):
        bound, (inside, _, last) = bound_of(name), name.rpartition(".")
        if bound is not None and not bound.holds(value) and inside not in lists:
            if last.isdecimal():
                lists.add(inside)
            yield refuse(
                name,
                value,
                f"outside {bound.least:g} to {bound.most:g}, where every sane value lies",
                f"{bound.usual:g} is usual",
            )


def numbers(content: Any, field: str) -> Iterator[tuple[str, float]]:
    """Names and values of all numbers in nested dicts and lists."""
    if isinstance(content, dict):
        for key, value in content.items():
            yield from numbers(value, f"{field}.{key}")
    elif isinstance(content, list | tuple):
        for place, value in enumerate(content):
            yield from numbers(value, f"{field}.{place}")
    elif isinstance(content, int | float) and not isinstance(content, bool):
        yield field, content
