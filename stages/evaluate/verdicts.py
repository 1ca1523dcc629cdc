"""A comparison of two models in words, the same for page, terminal and ``--against``."""

import math
from collections.abc import Iterable, Iterator, Sequence

from stages.evaluate.significance import (
    ALPHA,
    BETTER,
    CANNOT_TELL,
    EQUAL,
    LEAST,
    SEEDS,
    TOO_FEW,
    WORSE,
    Comparison,
    Difference,
    by_chance,
    call,
)


def would_tell(one: Difference, alike: float) -> str:
    """How much would have to be measured for an answer, if the difference stays what it is.

    An interval answers when it leaves 0 out or lies within ``alike``. Its width shrinks with the root
    of the samples, of the pairs of runs where these are the sample.
    """
    if not one.scored:
        return "tasks that one of the two can do"
    many = one.seeds >= SEEDS
    unit, now = ("seeds", one.seeds) if many else ("samples", one.n)
    if one.low is None or one.high is None:
        return f"at least {LEAST * one.tasks:,} samples instead of {one.n:,}"
    if one.high == one.low:
        return f"about {_round_up(max(2 * one.n, 300 / alike)):,} samples instead of {one.n:,}"
    half = (one.high - one.low) / 2
    wanted = max(alike - abs(one.value), abs(one.value))
    # What the correction over the table costs is not known beforehand: twice as many at least.
    needed = max(2.0 * now, now * (half / wanted) ** 2)
    return f"about {_round_up(needed):,} {unit} instead of {now:,}"


def _round_up(value: float) -> int:
    """To two digits."""
    step = 10 ** max(0, math.floor(math.log10(value)) - 1)
    return math.ceil(value / step) * step


def lines(found: Comparison) -> Iterator[str]:
    """A line a cell and a line a mean, for a terminal."""
    for (suite, task, length), one in found.cells.items():
        yield f"{f'{suite}: {task}, {length}':<44} {interval(one):>24}  {call(one)}"
    for (suite, length), one in found.means.items():
        name = f"{suite}: mean over {_tasks(one)}, {length}"
        yield f"{name:<44} {interval(one):>24}  {call(one)}"


def sentences(found: Comparison, one: str, other: str) -> Iterator[str]:
    """What a table says of ``one`` against ``other``: first the means over tasks, then the cells."""
    if not found.cells:
        return
    means = [
        f"{interval(mean)} at {length} tokens ({suite}, {_tasks(mean)}: {call(mean)})"
        for (suite, length), mean in found.means.items()
    ]
    yield (
        f"{one} minus {other}, mean over tasks, points of 100 with their 95 % interval: "
        f"{'; '.join(means)}."
    )
    said = {
        word: [cell for cell, d in found.cells.items() if call(d) == word]
        for word in (BETTER, WORSE, EQUAL, CANNOT_TELL)
    }
    few = sum(d.mark == TOO_FEW for d in found.cells.values())
    because = f" (in {few} for lack of samples)" if few else ""
    yield (
        f"Compared sample by sample, {one} is better than {other} in {_names(said[BETTER])}, worse "
        f"in {_names(said[WORSE])}, equal in {len(said[EQUAL])}, and it cannot be told in "
        f"{len(said[CANNOT_TELL])}{because} of {len(found.cells)} cells. Marks are at "
        f"{100 * ALPHA:g} % for the whole table (Holm's correction): without it, chance alone would "
        f"mark about {by_chance(found.cells.values()):.1f} cells."
    )
    yield _of_what(next(iter(found.cells.values())).seeds)


def interval(one: Difference) -> str:
    """``+1.2 [-0.4, +2.8]``; the value alone where there are too few samples."""
    if one.low is None or one.high is None:
        return f"{one.value:+.1f}"
    return f"{one.value:+.1f} [{one.low:+.1f}, {one.high:+.1f}]"


def _of_what(seeds: int) -> str:
    if seeds >= SEEDS:
        return (
            f"Intervals and marks are over {seeds} pairs of training runs (Student's t), each "
            "measured on the same samples."
        )
    runs = "this training run" if seeds == 1 else f"these {seeds} training runs"
    return (
        f"Intervals and marks are over samples, of {runs}: how far another training run would be "
        "is not known."
    )


def _tasks(one: Difference) -> str:
    return f"{one.tasks} task{'s' if one.tasks != 1 else ''}"


def _names(cells: Sequence[tuple[str, str, str]]) -> str:
    """``vt (256, 512), cwe (256)``, or ``no cell``."""
    by_task: dict[str, list[str]] = {}
    for _, task, length in sorted(cells, key=lambda cell: (cell[0], cell[1], int(cell[2]))):
        by_task.setdefault(task, []).append(length)
    return _listed(f"{task} ({', '.join(at)})" for task, at in by_task.items()) or "no cell"


def _listed(words: Iterable[str]) -> str:
    parts = list(words)
    return " and ".join(filter(None, [", ".join(parts[:-1]), *parts[-1:]]))
