"""RULER's variable tracking (``vt``)."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from random import Random

from stages.benchmarks.draft import Cell, Draft
from stages.benchmarks.fitting import largest
from stages.benchmarks.templates import NOISE, TRACKING, TRACKING_HOP, TRACKING_VALUE
from stages.benchmarks.words import capitals, distinct

_EXAMPLE_LETTERS = 3
"""Capitals of a variable's name in the worked example, as official."""
_EXAMPLE_HOPS = 10
"""Most hops of the worked example, as official."""
_SLACK = 16
"""Tokens by which a question of other names may be longer than the one that was measured."""


@dataclass(frozen=True)
class Tracking:
    """Chains of assignments among noise; all variables of one chain are asked for."""

    metric: str = "string_match_all"

    def least(self, cell: Cell) -> int:
        """A line of noise for every assignment of a chain; one where the length is too short."""
        return 1 if _short(cell) else cell.params.vt.hops + 1

    def most(self, cell: Cell) -> int:
        """No limit."""
        return sys.maxsize

    def step(self, cell: Cell) -> int:
        """Lines of noise."""
        return cell.params.steps_at(cell.length).assignments

    def draft(self, cell: Cell, units: int, rng: Random) -> Draft:
        """The worked example, if any, then chains among ``units`` lines of noise."""
        vt = cell.params.vt
        draft = _question(cell, units, vt.hops, vt.name_letters, rng)
        if vt.example_tokens is None:
            return draft
        return Draft(
            head=_solved(cell, _example_lines(cell), rng) + "\n" + draft.head,
            context=draft.context,
            tail=draft.tail,
            prefix=draft.prefix,
            answers=draft.answers,
            candidates=draft.candidates,
        )


def _question(cell: Cell, lines: int, hops: int, letters: int, rng: Random) -> Draft:
    vt = cell.params.vt
    names = distinct(lambda: capitals(rng, letters), vt.chains * (hops + 1))
    # Official values stop one short of the largest number of so many digits (10000..99998).
    first, last = 10 ** (vt.value_digits - 1), 10**vt.value_digits - 2
    values = distinct(lambda: str(rng.randint(first, last)), vt.chains)
    chains = [names[i : i + hops + 1] for i in range(0, len(names), hops + 1)]
    context = [NOISE] * lines
    for chain, value in zip(chains, values, strict=True):
        stated = [TRACKING_VALUE.format(name=chain[0], value=value)]
        for previous, name in pairwise(chain):
            stated.append(TRACKING_HOP.format(name=name, previous=previous))
        places = _places(len(context), len(stated), rng)
        for shift, (place, line) in enumerate(zip(places, stated, strict=True)):
            context.insert(place + shift, line)
    head, tail = TRACKING.prompt.split("{context}")
    fields = {"query": values[0], "num_v": str(hops + 1)}
    return Draft(
        head=head,
        context="\n".join(context),
        tail=tail.format(**fields),
        prefix=TRACKING.prefix.format(**fields),
        answers=tuple(chains[0]),
        candidates=tuple(names),
    )


def _places(lines: int, count: int, rng: Random) -> Sequence[int]:
    """Where assignments stand: different lines, as official, while there are enough of them."""
    if lines < count:
        return sorted(rng.choices(range(lines + 1), k=count))
    return sorted(rng.sample(range(lines), count))


def _solved(cell: Cell, lines: int, rng: Random) -> str:
    """A solved question, other names and another value in every sample."""
    hops = min(_EXAMPLE_HOPS, cell.params.vt.hops)
    draft = _question(cell, lines, hops, _EXAMPLE_LETTERS, rng)
    return draft.prompt + " " + " ".join(draft.answers) + "\n"


def _example_tokens(cell: Cell, lines: int) -> int:
    return cell.encoder.count(_solved(cell, lines, cell.rng("example")))


def _spare(cell: Cell) -> int:
    """Tokens that the smallest official question leaves for the example."""
    vt = cell.params.vt
    question = _question(cell, vt.hops + 1, vt.hops, vt.name_letters, cell.rng("least"))
    return cell.room - cell.encoder.count(question.prompt) - _SLACK


@lru_cache(maxsize=1)
def _short(cell: Cell) -> bool:
    """Whether the smallest official prompt, which RULER would try for ever, is too long."""
    if cell.params.vt.example_tokens is None:
        return _spare(cell) + _SLACK < 0
    least = min(_EXAMPLE_HOPS, cell.params.vt.hops) + 1
    return _example_tokens(cell, least) > _spare(cell) + _SLACK


@lru_cache(maxsize=1)
def _example_lines(cell: Cell) -> int:
    """Lines of noise in the example: as many as its tokens allow.

    Where a tokenizer takes more for the shortest, that is taken (as RULER does); where the length
    leaves less room beside the question it is shorter (RULER's own never ends there, below some 750
    tokens), down to one line where it is ``_short``.
    """
    if _short(cell):
        return 1
    least = min(_EXAMPLE_HOPS, cell.params.vt.hops) + 1

    def measure(lines: int) -> int:
        return _example_tokens(cell, lines)

    tokens, spare = cell.params.vt.example_tokens, _spare(cell)
    assert tokens is not None
    lines = largest(measure, tokens, least) or least
    if measure(lines) > spare:
        lines = largest(measure, spare, least) or least
    return lines
