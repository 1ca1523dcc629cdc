"""``vt`` as RULER's ``variable_tracking.py`` draws it."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any

from stages.benchmarks.exact.calls import Calls, Prompt, fitted, row, size
from stages.benchmarks.templates import NOISE, TRACKING
from stages.benchmarks.words import CAPITALS

_HOPS = 4


def rows(calls: Calls) -> Iterator[dict[str, Any]]:
    """The rows of the task."""
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

    short = replace(calls, length=500, budget=0)
    draw = draw_of(True)
    text, names = fitted(short, draw, size(short, draw, 5, 5, 3), 5)
    example = f"{text} {' '.join(names)}\n"
    draw, step = draw_of(False), 5 if calls.length < 4096 else 10
    lines = size(calls, draw, step, step, 3, calls.encoder.count(example))

    def with_example(lines: int) -> Prompt:
        text, answers = draw(lines)
        shown = example
        for old in example.strip().split()[-_HOPS - 1 :]:
            shown = shown.replace(old, name(len(old)))
        shown = shown.replace("12345", str(calls.numpy.randint(10000, 99999)))
        return f"{shown}\n{text}", answers

    for index in range(calls.count):
        text, answers = fitted(calls, with_example, lines, step)
        yield row(calls, index, text, answers, TRACKING.prefix)
