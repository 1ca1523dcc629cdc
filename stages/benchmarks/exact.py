"""RULER's files byte for byte as NVIDIA/RULER@c3f5e3b writes them: its random calls in its order.

``repo-pipeline samples --exact`` writes them, ``evaluate --data`` reads them. The rest of this package
builds better samples by the same rules (docs/ruler.md); these are for comparing with published
numbers. Only ``vt``, ``cwe`` and ``fwe``: the others were not yet seen equal.

One random source of Python's and one of NumPy's run through sizing and samples, as there; what is
shuffled is shuffled by a source of its own that starts at the seed each time.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from random import Random
from typing import Any

import numpy as np

from stages.benchmarks.templates import CODED_WORDS, COMMON_WORDS, NOISE, TRACKING
from stages.benchmarks.words import CAPITALS, Words
from stages.common.encoder import Encoder
from stages.common.errors import UserError

_HOPS = 4
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
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

    def __post_init__(self) -> None:
        self.rng = Random(self.seed)
        self.numpy = np.random.RandomState(self.seed)

    def shuffle(self, items: list[Any]) -> None:
        """By a source that starts at the seed."""
        Random(self.seed).shuffle(items)

    def fits(self, text: str, more: int = 0) -> bool:
        """Whether prompt and budget are within the length."""
        return self.encoder.count(text) + self.budget + more <= self.length


def rows(calls: Calls) -> Iterator[dict[str, Any]]:
    """The rows of ``<task>/validation.jsonl``, their fields in RULER's order."""
    makers = {"vt": _tracking, "cwe": _common, "fwe": _coded}
    if calls.task not in makers:
        raise UserError(
            f"--task is {calls.task!r}: --exact knows {', '.join(makers)}; take RULER's own files of "
            "the others with `evaluate --data`"
        )
    yield from makers[calls.task](calls)


def _row(calls: Calls, index: int, text: str, answers: list[str], prefix: str) -> dict[str, Any]:
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


def _size(
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


def _fitted(calls: Calls, draw: Callable[[int], Prompt], size: int, step: int) -> Prompt:
    """A prompt of a size; smaller ones while it is too long."""
    for _ in range(_TRIES):
        try:
            text, answers = draw(size)
        except ValueError:  # more needles than lines
            pass
        else:
            if calls.fits(text):
                return text, answers
        if size > step:
            size -= step
    raise UserError(f"length {calls.length} is too short for {calls.task}; give a longer one")


def _tracking(calls: Calls) -> Iterator[dict[str, Any]]:
    rng = calls.rng

    def name(letters: int) -> str:
        return "".join(rng.choices(CAPITALS, k=letters))

    def draw_of(example: bool) -> Callable[[int], Prompt]:
        def draw(lines: int) -> Prompt:
            letters = 3 if example else 5
            names = [name(letters) for _ in range(_HOPS + 1)]
            while len(set(names)) < _HOPS + 1:
                names.append(name(letters))
            used = names[: _HOPS + 1]
            value = "12345" if example else str(calls.numpy.randint(10000, 99999))
            chain = [f"VAR {used[0]} = {value}"]
            chain += [f"VAR {new} = VAR {old} " for old, new in pairwise(used)]
            context = [NOISE] * lines
            for shift, place in enumerate(sorted(rng.sample(range(lines), len(chain)))):
                context.insert(place + shift, chain[shift])
            joined = "\n".join(context).replace(". \n", ".\n")
            template = TRACKING.prompt + TRACKING.prefix
            return template.format(context=joined, query=value, num_v=_HOPS + 1), used

        return draw

    short = Calls(**{**_fields(calls), "length": 500, "budget": 0})
    draw = draw_of(True)
    text, names = _fitted(short, draw, _size(short, draw, 5, 5, 3), 5)
    example = f"{text} {' '.join(names)}\n"
    draw, step = draw_of(False), 5 if calls.length < 4096 else 10
    size = _size(calls, draw, step, step, 3, calls.encoder.count(example))

    def with_example(lines: int) -> Prompt:
        text, answers = draw(lines)
        shown = example
        for old in example.strip().split()[-_HOPS - 1 :]:
            shown = shown.replace(old, name(len(old)))
        shown = shown.replace("12345", str(calls.numpy.randint(10000, 99999)))
        return f"{shown}\n{text}", answers

    for index in range(calls.count):
        text, answers = _fitted(calls, with_example, size, step)
        yield _row(calls, index, text, answers, TRACKING.prefix)


def _fields(calls: Calls) -> dict[str, Any]:
    return {name: getattr(calls, name) for name in Calls.__dataclass_fields__}


def _common(calls: Calls) -> Iterator[dict[str, Any]]:
    words = list(calls.words.all)
    calls.shuffle(words)
    template = COMMON_WORDS.prompt + COMMON_WORDS.prefix
    short = calls.length < 4096

    def listed(count: int, common: int, uncommon: int) -> tuple[str, list[str]]:
        if count > len(words):
            raise UserError(
                f"length {calls.length} is too long for cwe: RULER draws more than {len(words)} words "
                "from a list that is not in it"
            )
        chosen = calls.rng.sample(words, count)
        found = chosen[:10] * common + chosen[10:] * uncommon
        calls.shuffle(found)
        return " ".join(f"{i + 1}. {word}" for i, word in enumerate(found)), chosen[:10]

    def draw(count: int) -> Prompt:
        shown, answers = listed(*((20, 3, 1) if short else (40, 10, 3)))
        solution = " ".join(f"{i + 1}. {word}" for i, word in enumerate(answers))
        example = template.format(context=shown) + " " + solution
        context, answers = listed(count, *((6, 1) if short else (30, 3)))
        return example + "\n" + template.format(context=context), answers

    size = _size(calls, draw, 10, 4096, 2)
    for index in range(calls.count):
        text, answers = _fitted(calls, draw, size, 10)
        yield _row(calls, index, text, answers, COMMON_WORDS.prefix)


def _coded(calls: Calls) -> Iterator[dict[str, Any]]:
    room = calls.length - calls.budget
    kinds, step = room // 50, room // 32
    template = CODED_WORDS.prompt + CODED_WORDS.prefix

    def draw(count: int | None) -> tuple[str, list[str], int]:
        def word() -> str:
            return "".join(calls.rng.choices(_LETTERS, k=6))

        vocabulary = [word() for _ in range(kinds)]
        while len(set(vocabulary)) < kinds:
            vocabulary.append(word())
        vocabulary = sorted(set(vocabulary))
        calls.shuffle(vocabulary)
        vocabulary[0] = "..."

        def text(words: int) -> str:
            ranks = np.arange(1, len(vocabulary) + 1)
            counts = (words * (ranks**-2.0) / (np.pi**2 / 6)).astype(int)
            chosen = [w for w, times in zip(vocabulary, counts, strict=True) for _ in range(times)]
            calls.shuffle(chosen)
            return template.format(context=" ".join(chosen))

        if count is None:
            count = room // 6
            while calls.encoder.count(text(count)) < room:
                count += step
            count -= step
        else:
            while calls.encoder.count(text(count)) > room:
                count -= step
        return text(count), vocabulary[1:4], count

    if kinds < 4:
        raise UserError(f"length {calls.length} is too short for fwe; give a longer one")
    *_, size = draw(None)
    for index in range(calls.count):
        text, answers, _ = draw(size)
        yield _row(calls, index, text, answers, CODED_WORDS.prefix)
