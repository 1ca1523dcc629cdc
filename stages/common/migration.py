"""Params files of earlier schemas: one table of what changed, applied to any document of YAML."""

import re
from collections.abc import Callable, MutableMapping, Sequence
from typing import Any

from stages.common.errors import UserError
from stages.common.schema import NAME

SCHEMA = 2
"""Version of params.yaml; raised when a key is renamed or moves."""

Document = MutableMapping[str, Any]


def version_of(document: Any) -> int:
    """A document's schema; files from before there was one are 1. ``UserError`` for a newer one."""
    version = document.get("schema", 1) if isinstance(document, MutableMapping) else SCHEMA
    if not isinstance(version, int) or isinstance(version, bool) or not 1 <= version <= SCHEMA:
        raise UserError(
            f"schema is {version!r}, but this version of the pipeline reads 1 to {SCHEMA}; "
            "update the pipeline, or correct the line"
        )
    return version


def migrate(document: Any) -> Any:
    """``document`` in today's schema; changed in place, comments stay where it carries them."""
    if not isinstance(document, MutableMapping):
        return document  # the schema says what is wrong with it
    for version in range(version_of(document), SCHEMA):
        STEPS[version](document)
    complete(document)
    return document


def complete(document: Document) -> None:
    """Give every variant an entry with all three parts: DVC refuses a tracked param that is absent."""
    variants = document.get("variants")
    if not isinstance(variants, Sequence) or isinstance(variants, str):
        return
    definitions = document.setdefault("definitions", {})
    for name in variants if isinstance(definitions, MutableMapping) else ():
        well_named = isinstance(name, str) and re.match(NAME, name) and name != "base"
        if well_named and isinstance(definitions.setdefault(name, {}), MutableMapping):
            for part in ("train", "evaluate", "report"):
                definitions[name].setdefault(part, {})


def reference_of(variants: Sequence[str]) -> str:
    """What is compared with where nobody said it: RoPE, else the first."""
    return "rope" if "rope" in variants else variants[0]


def _variants_become_data(document: Document) -> None:
    """1 -> 2: what a variant is stands in ``definitions``, what is compared with in ``reference``."""
    _first(document, "schema", 2)
    _after(document, "seeds", "reference", reference_of(document.get("variants") or ["rope"]))
    _after(document, "reference", "definitions", {})


STEPS: dict[int, Callable[[Document], None]] = {1: _variants_become_data}
"""Schema -> the change to the next one."""


def _first(document: Document, key: str, value: Any) -> None:
    if hasattr(document, "insert"):
        document.insert(0, key, value)  # ruamel's map, comments kept
    else:
        document[key] = value


def _after(document: Document, before: str, key: str, value: Any) -> None:
    if hasattr(document, "insert") and before in document:
        document.insert(list(document).index(before) + 1, key, value)
    else:
        document[key] = value
