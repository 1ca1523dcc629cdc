"""The ``REPO_*`` variables: one table of names, types, ranges and defaults, read and checked here.

The table is ``data/variables.json``: a new variable changes no stage's code.
"""

import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal

from stages.common.errors import UserError
from stages.common.findings import Finding, refuse

PREFIX = "REPO_"
LIKE = re.compile(r"repo.?[a-z]", re.IGNORECASE)
"""Names that may be meant for ours: small letters, another dash."""
NEAR = 2
"""Letters by which an unknown name may differ from one of ours to be taken for a slip of the pen.

In small letters it must be one of ours but for that: other programs have a repo_host or repo_logs.
"""


@dataclass(frozen=True)
class Variable:
    """A row of the table."""

    name: str
    kind: Literal["whole", "number", "flag", "choice", "span", "folder", "text"]
    default: int | float | str | None
    meaning: str
    least: float = 0
    most: float = 0
    choices: tuple[str, ...] = ()

    def wrong(self, text: str) -> str | None:
        """What to give instead where ``text`` is no value of this variable; none where it is one."""
        if self.kind == "whole":
            wanted = f"give a whole number from {self.least:.0f} to {self.most:.0f}"
            return None if is_whole(text) and self.least <= int(text) <= self.most else wanted
        if self.kind == "number":
            wanted = f"give a number from {self.least:g} to {self.most:g}"
            return None if self.least <= _number(text) <= self.most else wanted
        if self.kind == "flag":
            return None if text in ("0", "1") else "give a whole number from 0 to 1"
        if self.kind == "choice":
            named = " or ".join(repr(choice) for choice in self.choices)
            return None if text in self.choices else f"give {named}, or unset it"
        if self.kind == "span":
            return self._wrong_span(text)
        if self.kind == "folder" and "://" in text:
            return "give a folder that all nodes share, no URL"
        return None

    def _wrong_span(self, text: str) -> str | None:
        low, dash, high = text.partition("-")
        if not dash:
            wanted = f"give a whole number from {self.least:.0f} to {self.most:.0f}"
            return None if is_whole(text) and self.least <= int(text) <= self.most else wanted
        ends = is_whole(low) and is_whole(high)
        good = ends and self.least <= int(low) <= int(high) <= self.most
        return None if good else "give two numbers, the least first: 2-4"


@cache
def table() -> dict[str, Variable]:
    """Name -> variable, of all there are."""
    text = (files("stages.common") / "data" / "variables.json").read_text(encoding="utf-8")
    rows = json.loads(text)
    return {
        name: Variable(name, **{**row, "choices": tuple(row.get("choices", ()))})
        for name, row in rows.items()
    }


def check(environment: Mapping[str, str], where: str = "") -> Iterator[Finding]:
    """Wrong values, and names that are almost one of ours; ``where`` names a cluster file's key."""
    for name, text in sorted(environment.items()):
        if not LIKE.match(name):
            continue
        known = table().get(name)
        if known is None:
            near = nearest(name)
            if near:
                yield refuse(f"{where}{name}", text, "there is no such variable", f"use {near}")
        elif text and (fix := known.wrong(text)):
            yield refuse(f"{where}{name}", text, "no value of it", fix)


def unknown(environment: Mapping[str, str]) -> list[str]:
    """Names with our prefix that are none of ours: another program's, or of another version."""
    return sorted(n for n in environment if n.startswith(PREFIX) and n not in table())


def nearest(name: str) -> str | None:
    """The variable that ``name`` differs from by one or two letters, or by how it is written."""
    spelt = name.upper().replace("-", "_")
    if spelt in table():
        return spelt
    if not name.startswith(PREFIX):
        return None
    apart = {ours: _distance(spelt, ours) for ours in table()}
    best = min(apart, key=lambda ours: apart[ours])
    return best if 0 < apart[best] <= NEAR else None


def value(name: str, environment: Mapping[str, str] | None = None) -> str:
    """The text of a variable, checked; empty: unset and without a default."""
    variable = table()[name]
    text = (os.environ if environment is None else environment).get(name, "")
    if text and (fix := variable.wrong(text)):
        raise UserError(f"{name} is {text!r}: {fix}")
    return text or ("" if variable.default is None else str(variable.default))


def whole(
    name: str, default: int | None = None, environment: Mapping[str, str] | None = None
) -> int:
    """A whole number; ``default`` stands for the table's where that depends on the machine."""
    text = value(name, environment)
    if not text and default is None:
        raise ValueError(f"{name} has no default in the table and none was given")
    return int(text) if text else int(default or 0)


def flag(
    name: str, default: bool | None = None, environment: Mapping[str, str] | None = None
) -> bool:
    """A switch, 0 or 1."""
    return bool(whole(name, default, environment))


def span(name: str, environment: Mapping[str, str] | None = None) -> tuple[int, int] | None:
    """Least and most, of ``4`` or ``2-4``; none: unset."""
    low, _, high = value(name, environment).partition("-")
    return (int(low), int(high or low)) if low else None


DIGITS = 18
"""Of a whole number, at most: Python turns no text of 4,300 digits into one."""


def is_whole(text: str) -> bool:
    """Whether a text of the user's is a whole number that can be read: plain digits, not thousands."""
    return text.isascii() and text.isdecimal() and len(text) <= DIGITS


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")


def _distance(one: str, other: str) -> int:
    """Letters to change, add or leave out (Levenshtein)."""
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        before, row[0] = row[0], i
        for j, b in enumerate(other, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (a != b))
    return row[-1]
