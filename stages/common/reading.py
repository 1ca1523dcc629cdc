"""Reading of YAML and the errors of a bad params file, one line per mistake."""

import difflib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from stages.common.errors import Mistakes, UserError
from stages.common.schema import NAME, SHA256, SOURCE_NAME

Model = TypeVar("Model", bound=BaseModel)


LARGEST = 10**300
"""Of whole numbers: any further, and no float could hold them."""
NAME_BYTES, PATH_BYTES = 255, 4000
"""Of a file's name and of a path, on the file systems that there are."""


def read_yaml(path: Path, written: bool = False) -> Any:
    """The content of a YAML 1.2 file, read as DVC reads it (so ``1e-3`` is a number).

    ``written``: by a program; libyaml reads it in a fifth of the time and names mistakes less well.
    """
    try:
        return yaml_of(path.read_text(encoding="utf-8"), written)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" line {mark.line + 1}" if mark else ""
        said = " ".join(str(getattr(error, "problem", error)).split())
        raise UserError(f"{path}{where}: not YAML: {said}") from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise UserError(f"{path} line {line}: not UTF-8; save it as UTF-8") from None
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; make it a file that you may read") from None


def yaml_of(text: str, written: bool = False) -> Any:
    """The content of YAML 1.2; ``YAMLError`` for all that is none, a 13th month or 5,000 digits too."""
    try:
        return YAML(typ="safe", pure=not written).load(text)
    except ValueError as error:  # of Python's own numbers and dates
        raise YAMLError(str(error).partition(";")[0]) from None
    except RecursionError:
        raise YAMLError("nested too deeply") from None


def parse(model: type[Model], content: Any, source: str) -> Model:
    """Check ``content`` against ``model``; all its mistakes are named in one ``UserError``."""
    for name, value in _values(content):
        if isinstance(value, int) and abs(value) > LARGEST:
            digits = value.bit_length() * 3 // 10
            raise UserError(
                f"{source}: {name} is a number of some {digits} digits: give one below 1e15"
            )
        if isinstance(value, str) and (why := _no_path(value)):
            raise UserError(f"{source}: {name} is {_shown(value)}: {why}")
    try:
        return model.model_validate(content)
    except ValidationError as error:
        lines = [_line(model, source, *one) for one in _mistakes(error, content)]
        raise Mistakes(*lines) from None


def _values(content: Any) -> Iterator[tuple[str, Any]]:
    """All values by their names; what an alias repeats is seen once."""
    left, seen = [("", content)], set[int]()
    while left:
        name, value = left.pop()
        if not isinstance(value, Mapping | list | tuple):
            yield name, value
        elif id(value) not in seen:
            seen.add(id(value))
            inside = value.items() if isinstance(value, Mapping) else enumerate(value)
            left += [(f"{name}.{key}".removeprefix("."), one) for key, one in inside]


def _no_path(text: str) -> str:
    """Why a text can be no path: a system call would say so in its own words. Empty: it can."""
    if "\0" in text:
        return "it holds a zero byte; take it out"
    if "://" in text:
        return ""  # an address
    path = text.encode(errors="replace")
    if max(map(len, path.split(b"/"))) > NAME_BYTES or len(path) > PATH_BYTES:
        return (
            f"no file has a name of over {NAME_BYTES} bytes, nor a path of over {PATH_BYTES:,}; "
            "shorten it"
        )
    return ""


Place = tuple[str, ...]


def _mistakes(error: ValidationError, content: Any) -> list[tuple[Place, list[Any]]]:
    """Places of the user's mistakes, each with what pydantic says of it.

    A value that may be of several kinds is refused once for each; what a kind is called is no key of
    the user's and is left out. Of the kinds, the one that got furthest is meant.
    """
    found: dict[Place, dict[Place, list[tuple[Place, Any]]]] = {}
    for one in error.errors():
        place, kind, at = _place(one, content)
        found.setdefault(at, {}).setdefault(kind, []).append((place, one))
    meant: dict[Place, list[Any]] = {}
    for at, kinds in found.items():
        inside = [
            rows
            for rows in kinds.values()
            if all(place != at or one["type"] == "value_error" for place, one in rows)
        ]
        for rows in inside[:1] or kinds.values():
            for place, one in rows:
                missing = one["type"] == "missing"
                meant.setdefault((*place[:-1], MISSING) if missing else place, []).append(one)
    # A list whose item is wrong is also "too short": only the item is the user's mistake.
    return [
        (place, ones)
        for place, ones in meant.items()
        if not any(other != place == other[: len(place)] for other in meant) or not place
    ]


MISSING = "(missing)"
"""Stands for all keys that a section lacks: they are one line."""


def _place(one: Any, content: Any) -> tuple[Place, Place, Place]:
    """Keys of a mistake; the kinds of value that pydantic tried; the keys of the first such value."""
    inside, place, kind = content, list[str](), list[str]()
    at: Place | None = None
    for part in one["loc"]:
        known = isinstance(inside, Mapping) and part in inside
        item = isinstance(inside, list | tuple) and isinstance(part, int)
        last = part == one["loc"][-1] and one["type"] == "missing"
        if known or (item and part < len(inside)):
            inside = inside[part]
        elif not last:
            kind.append(str(part))
            at = tuple(place) if at is None else at
            continue
        place.append(str(part))
    return tuple(place), tuple(kind), tuple(place) if at is None else at


def _line(model: type[BaseModel], source: str, place: Place, mistakes: list[Any]) -> str:
    first, keys = mistakes[0], list(place)
    where = "".join(f"{part}: " for part in (source, ".".join(keys)) if part)
    if first["type"] == "extra_forbidden":
        near = difflib.get_close_matches(keys[-1], _fields(model, keys[:-1]), n=1)
        fix = f"did you mean {near[0]!r}?" if near else "remove it"
        return f"{where}unknown key; {fix}"
    if first["type"] == "missing":
        names = [str(one["loc"][-1]) for one in mistakes]
        where = f"{source}: {'.'.join([*keys[:-1], names[0]])}"
        more = f", like {', '.join(names[1:])}" if names[1:] else ""
        return f"{where}: missing{more}; add {'them' if more else 'it'}"
    if first["type"] == "value_error":
        return where + first["msg"].removeprefix("Value error, ")
    said = f"is {_shown(first['input'])}"
    if first["loc"][-1:] == ("[key]",):
        where, said = f"{source}: {'.'.join(keys[:-1])}", f"has the key {_shown(first['input'])}"
    wanted = dict.fromkeys(_wanted(one) for one in mistakes)
    return f"{where.removesuffix(': ')} {said}: give {' or '.join(wanted)}"


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 120 else f"{text[:117]}..."


WANTED = {
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "string_type": "a text",
    "tuple_type": "a list, [a, b]",
    "list_type": "a list, [a, b]",
    "dict_type": "keys with values, a: b",
    "model_type": "keys with values, a: b",
    "literal_error": "{expected}",
    "finite_number": "a finite number",
    "greater_than": "more than {gt}",
    "greater_than_equal": "{ge} or more",
    "less_than": "less than {lt}",
    "less_than_equal": "{le} or less",
    "too_short": "a list of {min_length} or more",
    "too_long": "a list of {max_length} at most",
    "string_too_short": "a text of {min_length} letters at least",
    "string_too_long": "a text of {max_length} letters at most",
}
"""pydantic's kinds of mistakes as what the user is to give."""


def _wanted(mistake: Any) -> str:
    """What to give in place of a wrong value."""
    kind, context = mistake["type"], mistake.get("ctx") or {}
    if kind == "string_pattern_mismatch":
        pattern = context["pattern"]
        return NAMES.get(pattern, f"a text that matches {pattern}")
    if kind in WANTED:
        plain = {name: f"{x:.15g}" if isinstance(x, float) else x for name, x in context.items()}
        return WANTED[kind].format(**plain)
    message = str(mistake["msg"])
    return message[0].lower() + message[1:]


NAMES = {
    NAME: "a name of small letters, digits and _, a letter first",
    SOURCE_NAME: "a name of letters, digits, _ and full stops, 100 at most",
    SHA256: "64 digits and small letters a to f, between quotes",
}
"""Patterns in words."""


def _fields(model: type[BaseModel], keys: list[str]) -> list[str]:
    """Names of the fields of the section that ``keys`` leads to."""
    current: type[BaseModel] = model
    for key in keys:
        fields = {one.alias or name: one for name, one in current.model_fields.items()}
        field = fields.get(key)
        if field is None:
            continue  # an index of a list, or a branch of a union
        for candidate in (field.annotation, *getattr(field.annotation, "__args__", ())):
            if isinstance(candidate, type) and issubclass(candidate, BaseModel):
                current = candidate
                break
    return [field.alias or name for name, field in current.model_fields.items()]
