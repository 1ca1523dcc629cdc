"""A recipe that follows the model: what comes along with ``--set base.source=MY-MODEL``.

A profile's learning rate, warm-up, start layer, lengths and documents are made for its own base. With
another one they are replaced by what suits that base's size, and each change is said. What the user
set stays.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stages.common import recipe
from stages.common.seen import Base

UNKNOWN_LR = 1e-4
"""Where the size is not known offline: what suits 100 M to 200 M, and wrecks no larger one."""


def follow(document: Any, changes: Mapping[str, Any], root: Path, scratch: bool) -> list[str]:
    """Fit ``document`` to its base model in place; returns the changes, one text each.

    ``scratch``: whether the profile trained its base from scratch, on documents made for it.
    """
    base, said = document["base"], _Said(document, changes)
    model = Base.of(str(base["source"]), base.get("revision"), root)
    if "tokenizer.source" not in changes and base["source"]:
        said.put("tokenizer.source", base["source"])
        document["tokenizer"].pop("revision", None)
        if base.get("revision"):
            document["tokenizer"]["revision"] = base["revision"]
    if scratch:
        for key in ("training", "start"):
            if not said.asked(f"base.{key}"):
                base.pop(key, None)
        _own_documents(document, said)
    if model.window:
        _lengths(document, said, model.window)
    size = model.shape.parameters if model.shape else None
    said.put("train.lr", recipe.learning_rate(size) if size else UNKNOWN_LR)
    train = document["train"]
    if train.get("tokens") and train.get("batch_tokens"):
        # A base from elsewhere has no moments here: its first steps need a warm-up.
        said.put("train.warmup_steps", recipe.warmup(train["tokens"] // train["batch_tokens"]))
    said.put("train.start_layer", "auto")
    return said.lines


class _Said:
    """Changes values that the user did not set, and keeps a line for each."""

    def __init__(self, document: Any, changes: Mapping[str, Any]) -> None:
        self.document, self.changes = document, changes
        self.lines: list[str] = []

    def asked(self, key: str) -> bool:
        """Whether the user set ``key``, something in it or what holds it."""
        return any(
            k == key or k.startswith(f"{key}.") or key.startswith(f"{k}.") for k in self.changes
        )

    def put(self, key: str, value: Any) -> None:
        """Set ``key`` where the user did not."""
        *path, last = key.split(".")
        place = self.document
        for part in path:
            place = place[part]
        before = place.get(last)
        if self.asked(key) or before == value:
            return
        place[last] = value
        self.lines.append(f"{key} {_text(value)} (was {_text(before)})")


def _own_documents(document: Any, said: _Said) -> None:
    """Generated documents teach a toy what the tests ask; a real model reads real text."""
    corpus = document["corpus"]
    if not corpus.get("generated") or said.asked("corpus.generated"):
        return
    names = list(corpus.pop("generated"))
    said.lines.append(f"no generated documents (were {', '.join(names)})")
    for number, phase in enumerate(document["train"]["lengths"]):
        place = f"train.lengths.{number}"
        if {"train.lengths", place, f"{place}.sources"} & set(said.changes):
            continue
        if isinstance(phase.get("sources"), dict):  # targets: what they lack is named by the check
            continue
        left = [name for name in phase.get("sources") or [] if name not in names]
        if left:
            phase["sources"] = left
        else:
            phase.pop("sources", None)


def _lengths(document: Any, said: _Said, window: int) -> None:
    """Train within the window; what is measured keeps its ratio to what is trained."""
    train = document["train"]
    longest = max(phase["length"] for phase in train["lengths"])
    if longest <= window or said.asked("train.lengths"):
        return
    for phase in train["lengths"]:
        phase["length"] = min(phase["length"], window)
    said.lines.append(f"train.lengths up to {window} (was {longest}, beyond its window)")
    if train["batch_tokens"] % window:
        said.put("train.batch_tokens", max(1, round(train["batch_tokens"] / window)) * window)
    measured = [int(length * window / longest) for length in document["benchmarks"]["lengths"]]
    if min(measured) >= 16:
        said.put("benchmarks.lengths", measured)


def _text(value: Any) -> str:
    return (
        f"{value:g}"
        if isinstance(value, float)
        else str(list(value) if isinstance(value, list) else value)
    )
