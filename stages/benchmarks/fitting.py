"""Fitting a haystack to a length: RULER's rule, with an end.

RULER searches for the largest haystack whose prompt and budget fit, then cuts a fixed step from
every sample that came out too long all the same. Where not even the smallest fits it never ends;
here the task, the length and the minimum are named instead.
"""

import sys
from collections.abc import Callable
from functools import cache

from stages.benchmarks.draft import Cell, Draft, Task, styled
from stages.common.errors import DoesNotFit

_DRAWS = 6
"""Samples of a size that are measured: one alone may be short or long by luck."""
_ATTEMPTS = 32
"""Samples of the smallest size that are tried before a length is refused."""


def largest(
    measure: Callable[[int], int], room: int, least: int, most: int = sys.maxsize
) -> int | None:
    """The largest number of units, ``least`` to ``most``, that measures at most ``room`` tokens.

    The upper bound is found by doubling (RULER takes 3 times an estimate per unit, too little
    where the fixed part of a prompt is most of it). None: not even ``least`` fits.
    """
    if measure(least) > room:
        return None
    low, high = least, min(2 * least, most)
    while high > low and measure(high) <= room:
        low, high = high, min(2 * high, most)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if measure(middle) <= room else (low, middle)
    return low


def fit(task: Task, cell: Cell) -> int:
    """The haystack's size for a cell, in the task's units; refuses a length it cannot have.

    The size at which every sample fits, or, where the steps down are so small that nothing is lost
    by them, the larger one at which some do.
    """

    @cache
    def measure(units: int, draws: int = _DRAWS) -> list[int]:
        drafts = (task.draft(cell, units, cell.rng(f"fit-{draw}")) for draw in range(draws))
        return [cell.encoder.count(styled(cell, draft).prompt) for draft in drafts]

    least, most = task.least(cell), task.most(cell)
    safe = largest(lambda units: max(measure(units)), cell.room, least, most)
    if safe is None:
        shortest = min(measure(least, _ATTEMPTS))
        if shortest > cell.room:
            raise too_short(cell, shortest + cell.budget)
        return least  # some samples fit: those are drawn until they do
    if safe == most:
        raise DoesNotFit(
            f"benchmarks.lengths: {cell.length} is too long for {cell.task}: its source has only "
            f"{most} words; give a longer text (ruler.prose) or more words (ruler.word_tokens)",
            cell.task,
            cell.length,
        )
    hopeful = largest(lambda units: min(measure(units)), cell.room, safe, most)
    return hopeful if hopeful and hopeful - task.step(cell) >= safe else safe


def fitted(task: Task, cell: Cell, units: int, index: int) -> Draft:
    """Sample ``index`` of a cell: a step is cut until it fits, never below the smallest."""
    rng = cell.rng(index)
    least, shortest = task.least(cell), 0
    attempts = _ATTEMPTS
    while attempts:
        draft = styled(cell, task.draft(cell, units, rng))
        tokens = cell.encoder.count(draft.prompt)
        if tokens <= cell.room:
            return draft
        if units == least:
            attempts -= 1
            shortest = min(shortest, tokens) or tokens
        units = max(least, units - task.step(cell))
    raise too_short(cell, shortest + cell.budget)


def too_short(cell: Cell, minimum: int) -> DoesNotFit:
    """The refusal of a length."""
    return DoesNotFit(
        f"benchmarks.lengths: {cell.length} is too short for {cell.task}: its shortest prompt and "
        f"its {cell.budget} new tokens need about {minimum}; take a longer length",
        cell.task,
        cell.length,
    )
