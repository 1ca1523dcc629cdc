"""The eight niah tasks as RULER's ``niah.py`` draws them."""

import re
from collections.abc import Iterator
from functools import cache
from itertools import islice, product
from random import Random
from typing import Any

from stages.benchmarks.exact.calls import Calls, Prompt, fitted, row, size
from stages.benchmarks.haystack import Prose, read, split_sentences
from stages.benchmarks.niah import DEPTHS, Kind, Niah, asked_for
from stages.benchmarks.templates import NEEDLE, NIAH, NIAH_SINGULAR, NOISE
from stages.benchmarks.words import Words, identifier, number

_GENERATED = 120_000
"""Words of a text that is generated; RULER begins anew where its text ends."""


def rows(calls: Calls, task: Niah) -> Iterator[dict[str, Any]]:
    """The rows of a setting of the generator."""
    step = 500 if task.haystack == "prose" else 5 if calls.length < 4096 else 25
    drawn = _Drawn(calls, task)
    units = size(calls, drawn.prompt, step, step, 3)
    for index in range(calls.count):
        text, answers = fitted(calls, drawn.prompt, units, step)
        found = row(calls, index, text, answers, NIAH.prefix)
        place = found["input"].find(answers[0])
        before = calls.encoder.count(found["input"][:place])
        # Their variable of the row's number is the answer's place by then.
        yield found | {"index": place, "token_position_answer": before}


@cache
def _keys(words: Words) -> list[str]:
    """Every adjective with every noun, in order: a key is drawn by its place among all."""
    return sorted({f"{a}-{n}" for a, n in product(words.adjectives, words.nouns)})


class _Drawn:
    def __init__(self, calls: Calls, task: Niah) -> None:
        self._calls, self._task = calls, task
        self._words = _keys(calls.words)
        self._text: list[str] = []
        if task.haystack == "prose":
            prose = Prose(calls.sources["prose"], calls.words)
            if prose.file is None:
                self._text = list(islice(prose.generated(Random(calls.seed)), _GENERATED))
            else:  # an empty word at either end counts, as there
                self._text = re.sub(r"\s+", " ", read(prose.file)).split(" ")

    def prompt(self, units: int) -> Prompt:
        """A prompt with a haystack of ``units`` words or lines, and its answers."""
        task, rng = self._task, self._calls.rng
        keys, values, needles = [], [], []
        for _ in range(task.key_count):
            keys.append(self._one(task.keys))
            values.append([self._one(task.values) for _ in range(task.values_per_key)])
            needles += [self._needle(keys[-1], value) for value in values[-1]]
        self._calls.shuffle(needles)
        context = self._among(needles, units)
        chosen = rng.sample(range(task.key_count), task.queries)
        template, thing = NIAH.prompt + NIAH.prefix, str(task.values)
        if task.queries * task.values_per_key == 1:
            thing = thing[:-1]
            for old, new in NIAH_SINGULAR:
                template = template.replace(old, new)
        query = asked_for([keys[index] for index in chosen])
        text = template.format(type_needle_v=thing, context=context, query=query)
        return text, [value for index in chosen for value in values[index]]

    def _among(self, needles: list[str], units: int) -> str:
        task, rng = self._task, self._calls.rng
        if task.haystack == "prose":
            times = -(-units // len(self._text))
            sentences = split_sentences(" ".join((self._text * times)[:units]).strip())
            depths = rng.sample(DEPTHS, len(needles))
            places = [0, *sorted(int(len(sentences) * (depth / 100)) for depth in depths)]
            parts: list[str] = []
            for start, end, needle in zip(places, places[1:], needles, strict=False):
                parts += [" ".join(sentences[start:end]), needle]
            # An empty part leaves its space, as there.
            return " ".join([*parts, " ".join(sentences[places[-1] :])])
        if task.haystack == "noise":
            lines = [NOISE] * units
        else:
            lines = [
                self._needle(self._one(task.keys), self._one(task.values)) for _ in range(units)
            ]
        places = sorted(rng.sample(range(units), len(needles)), reverse=True)
        for place, needle in zip(places, needles, strict=True):
            lines.insert(place, needle)
        return "\n".join(lines)

    def _needle(self, key: str, value: str) -> str:
        return NEEDLE.format(type_needle_v=self._task.values, key=key, value=value)

    def _one(self, kind: Kind) -> str:
        rng = self._calls.rng
        if kind == "numbers":
            return number(rng, 7)
        return identifier(rng) if kind == "uuids" else rng.choice(self._words)
