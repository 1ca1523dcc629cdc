"""What NVIDIA's generators share: their random sources, the sizing of a haystack, a row of the file.

One random source of Python's and one of NumPy's run through sizing and samples, as there; what is
shuffled is shuffled by a source of its own that starts at the seed each time.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

import numpy as np

from stages.benchmarks.words import Words
from stages.common.encoder import Encoder
from stages.common.errors import UserError

_TRIES = 200
"""RULER tries a prompt that is too long at its least size for ever."""
Prompt = tuple[str, list[str]]
"""Text and answers."""


@dataclass
class Calls:
    """What a generator draws from and counts with."""

    task: str
    length: int
    budget: int
    count: int
    seed: int
    encoder: Encoder
    words: Words
    sources: Mapping[str, str]
    """The files of ``prose``, ``squad`` and ``hotpotqa``, as ``corpora`` knows them."""

    def __post_init__(self) -> None:
        self.rng = Random(self.seed)
        self.numpy = np.random.RandomState(self.seed)

    def shuffle(self, items: list[Any]) -> None:
        """By a source that starts at the seed."""
        Random(self.seed).shuffle(items)

    def fits(self, text: str, more: int = 0) -> bool:
        """Whether prompt and budget are within the length."""
        return self.encoder.count(text) + self.budget + more <= self.length


def row(calls: Calls, index: int, text: str, answers: list[str], prefix: str) -> dict[str, Any]:
    """A row of ``<task>/validation.jsonl``, its fields in RULER's order."""
    length = calls.encoder.count(text) + calls.budget
    start = text.rfind(prefix[:10])
    return {
        "index": index,
        "input": text[:start],
        "outputs": answers,
        "length": length,
        "length_w_model_temp": length,
        "answer_prefix": text[start:],
    }


def size(
    calls: Calls, draw: Callable[[int], Prompt], step: int, first: int, slack: float, more: int = 0
) -> int:
    """The largest haystack that fits, by binary search; ``first`` is what the estimate is made of."""
    per_unit = calls.encoder.count(draw(first)[0]) / first
    low, high, best = step, max(_estimate(calls, per_unit, slack), step * 2), step
    while low <= high:
        middle = (low + high) // 2
        if calls.fits(draw(middle)[0], more):
            best, low = middle, middle + 1
        else:
            high = middle - 1
    return best


def _estimate(calls: Calls, per_unit: float, slack: float) -> int:
    if slack == 2:  # cwe rounds before it doubles
        return int(calls.length // per_unit) * 2
    return int((calls.length / per_unit) * slack)


def fitted(calls: Calls, draw: Callable[[int], Prompt], units: int, step: int) -> Prompt:
    """A prompt of a size; smaller ones while it is too long."""
    for _ in range(_TRIES):
        try:
            text, answers = draw(units)
        except ValueError:  # more needles than lines
            pass
        else:
            if calls.fits(text):
                return text, answers
        if units > step:
            units -= step
    raise UserError(f"length {calls.length} is too short for {calls.task}; give a longer one")
