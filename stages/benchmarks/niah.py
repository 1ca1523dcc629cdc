"""RULER's needle-in-a-haystack tasks: eight settings of one generator."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Literal

from stages.benchmarks.draft import Cell, Draft
from stages.benchmarks.templates import NEEDLE, NIAH, NIAH_SINGULAR, NOISE
from stages.benchmarks.words import distinct, identifier, number

Kind = Literal["words", "numbers", "uuids"]
DEPTHS = tuple(round(100 * i / 39) for i in range(40))
"""Places of needles in prose, percent of its sentences."""


@dataclass(frozen=True)
class Niah:
    """One setting: what the haystack is made of, and how many keys, values and questions."""

    haystack: Literal["noise", "prose", "needles"]
    keys: Kind = "words"
    values: Kind = "numbers"
    key_count: int = 1
    values_per_key: int = 1
    queries: int = 1
    metric: str = "string_match_all"

    def least(self, cell: Cell) -> int:
        """One unit for every needle: lines to stand before, or a word."""
        return 1 if self.haystack == "prose" else self.key_count * self.values_per_key

    def most(self, cell: Cell) -> int:
        """The words of the user's text; the others have no end."""
        return cell.prose.words if self.haystack == "prose" else sys.maxsize

    def step(self, cell: Cell) -> int:
        """Words of prose, or lines."""
        steps = cell.params.steps_at(cell.length)
        return steps.prose if self.haystack == "prose" else steps.lines

    def draft(self, cell: Cell, units: int, rng: Random) -> Draft:
        """Needles at random places of a haystack, and the question for some of their keys."""
        needles = self.key_count * self.values_per_key
        distractors = units if self.haystack == "needles" else 0
        keys = distinct(lambda: _draw(self.keys, cell, rng), self.key_count + distractors)
        values = distinct(lambda: _draw(self.values, cell, rng), needles + distractors)
        owners = [key for key in keys[: self.key_count] for _ in range(self.values_per_key)]
        pairs = list(zip(owners + keys[self.key_count :], values, strict=True))
        lines = [NEEDLE.format(type_needle_v=self.values, key=k, value=v) for k, v in pairs]
        stated, others = lines[:needles], lines[needles:]
        rng.shuffle(stated)
        if self.haystack == "prose":
            context = _among_sentences(stated, cell.prose.sentences(units, rng), rng)
        else:
            context = _among_lines(stated, others or [NOISE] * units, rng)
        asked = rng.sample(keys[: self.key_count], self.queries)
        answers = tuple(value for key in asked for owner, value in pairs if owner == key)
        prompt, prefix, thing = NIAH.prompt, NIAH.prefix, str(self.values)
        if self.queries * self.values_per_key == 1:
            thing = thing.removesuffix("s")
            for old, new in NIAH_SINGULAR:
                prompt, prefix = prompt.replace(old, new), prefix.replace(old, new)
        head, tail = prompt.split("{context}")
        fields = {"type_needle_v": thing, "query": asked_for(asked)}
        return Draft(
            head=head.format(**fields),
            context=context,
            tail=tail.format(**fields),
            prefix=prefix.format(**fields),
            answers=answers,
            candidates=tuple(values),
            ordered=True,
        )


def _draw(kind: Kind, cell: Cell, rng: Random) -> str:
    if kind == "numbers":
        return number(rng, cell.params.value_digits)
    return identifier(rng) if kind == "uuids" else cell.words.key(rng)


def asked_for(keys: Sequence[str]) -> str:
    """Keys as the question names them."""
    return ", ".join(keys[:-1]) + ", and " + keys[-1] if len(keys) > 1 else keys[0]


def _among_lines(needles: Sequence[str], haystack: Sequence[str], rng: Random) -> str:
    lines = list(haystack)
    places = sorted(rng.sample(range(len(lines)), len(needles)), reverse=True)
    for place, needle in zip(places, needles, strict=True):
        lines.insert(place, needle)
    return "\n".join(lines)


def _among_sentences(needles: Sequence[str], sentences: Sequence[str], rng: Random) -> str:
    depths = rng.sample(DEPTHS, len(needles))
    places = [0, *sorted(len(sentences) * depth // 100 for depth in depths)]
    parts: list[str] = []
    for start, end, needle in zip(places, places[1:], needles, strict=False):
        parts += [*sentences[start:end], needle]
    return " ".join([*parts, *sentences[places[-1] :]])
