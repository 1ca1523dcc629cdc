"""What the values of a config.json may be, read from the source of transformers' own classes.

The classes refuse a value of another kind when they are built. To import one takes 11 s and torch, so
their annotations are read as text: ``hidden_act: str = "silu"``. What cannot be read so is let pass.
"""

import ast
import importlib.util
import json
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

PLAIN: dict[str, tuple[type, ...]] = {
    "int": (int,), "float": (float,), "bool": (bool,), "str": (str,), "list": (list,),
    "dict": (dict,), "RopeParameters": (dict,), "None": (type(None),),
}  # fmt: skip
WORDS = {
    "int": "a whole number", "float": "a number with a point", "bool": "true or false", "str": "a text",
    "list": "a list", "dict": "an object", "RopeParameters": "an object", "None": "null",
}  # fmt: skip


def _labels(value: Any) -> bool:
    return value is None or (isinstance(value, dict) and all(key.isdecimal() for key in value))


COMMON: dict[str, tuple[Callable[[Any], bool], str]] = {
    "id2label": (_labels, "an object with whole numbers as keys, or null"),
    "return_dict": (bool, "true: losses are read from a dict"),
    "output_hidden_states": (
        lambda value: value is None or isinstance(value, bool),
        "true or false",
    ),
    "dtype": (lambda value: not isinstance(value, list), "a text, as bfloat16"),
    "torch_dtype": (lambda value: not isinstance(value, list), "a text, as bfloat16"),
}
"""Of all families; the common class says their kinds, and nobody asks."""


def wrong_kind(family: str, config: Mapping[str, Any]) -> tuple[str, str] | None:
    """A key whose value no class takes, and what it takes; none: all values may pass."""
    for line in _fields(family):
        name, kind = line.target.id, line.annotation  # type: ignore[union-attr]
        if name in config and not _is(config[name], kind):
            return name, " or ".join(dict.fromkeys(_words(kind)))
    for name, (holds, words) in COMMON.items():
        if name in config and not holds(config[name]):
            return name, words
    return None


def defaults(family: str) -> dict[str, Any]:
    """What the family's class takes for a key that config.json does not have."""
    found = {}
    for line in _fields(family):
        try:
            found[line.target.id] = ast.literal_eval(line.value)  # type: ignore[union-attr,arg-type]
        except (ValueError, TypeError):
            continue
    return found


@cache
def activations() -> frozenset[str]:
    """Names of activation functions; empty where they cannot be read."""
    for line in _source("activations.py").body:
        if isinstance(line, ast.Assign) and ast.unparse(line.targets[0]) == "ACT2CLS":
            keys = line.value.keys if isinstance(line.value, ast.Dict) else []
            return frozenset(str(key.value) for key in keys if isinstance(key, ast.Constant))
    return frozenset()


@cache
def _fields(family: str) -> tuple[ast.AnnAssign, ...]:
    """Fields of the family's class."""
    room = family.removesuffix("_text")
    return tuple(_of_class(_source(f"models/{room}/configuration_{room}.py"), family))


def _of_class(source: ast.Module, model_type: str) -> Iterator[ast.AnnAssign]:
    for each in source.body:
        lines = each.body if isinstance(each, ast.ClassDef) else []
        if f"model_type = {model_type!r}" in [ast.unparse(line) for line in lines[:9]]:
            for line in lines:
                if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name):
                    yield line


@cache
def _source(name: str) -> ast.Module:
    found = importlib.util.find_spec("transformers")  # finds it, imports nothing
    try:
        file = Path(str(found and found.origin)).parent / name
        return ast.parse(file.read_text(encoding="utf-8"))
    except (OSError, SyntaxError, ValueError):
        return ast.Module([], [])


def _is(value: Any, kind: ast.expr) -> bool:
    if isinstance(kind, ast.BinOp):
        return _is(value, kind.left) or _is(value, kind.right)
    if isinstance(kind, ast.Subscript):
        outer = ast.unparse(kind.value)
        if outer == "list":
            return isinstance(value, list) and all(_is(each, kind.slice) for each in value)
        if outer == "dict":
            return isinstance(value, dict)
        return outer != "Literal" or value in ast.literal_eval(kind.slice)
    plain = PLAIN.get(ast.unparse(kind))
    if plain is None:
        return True
    return isinstance(value, plain) and (plain != (int,) or not isinstance(value, bool))


def _words(kind: ast.expr) -> Iterator[str]:
    if isinstance(kind, ast.BinOp):
        yield from _words(kind.left)
        yield from _words(kind.right)
    elif isinstance(kind, ast.Subscript) and ast.unparse(kind.value) == "list":
        yield f"a list, each {' or '.join(_words(kind.slice))}"
    elif isinstance(kind, ast.Subscript) and ast.unparse(kind.value) == "Literal":
        yield " or ".join(json.dumps(each) for each in ast.literal_eval(kind.slice))
    else:
        yield WORDS.get(ast.unparse(kind), ast.unparse(kind))
