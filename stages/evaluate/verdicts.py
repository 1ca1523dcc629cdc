"""A comparison of two models in words, the same for page, terminal and ``--against``."""

from collections.abc import Iterable, Iterator, Sequence

from stages.evaluate.significance import (
    ALPHA,
    BETTER,
    NOISE,
    SEEDS,
    TOO_FEW,
    WORSE,
    Comparison,
    Difference,
    by_chance,
)


def lines(found: Comparison) -> Iterator[str]:
    """A line a cell and a line a mean, for a terminal."""
    for (suite, task, length), one in found.cells.items():
        yield f"{f'{suite}: {task}, {length}':<44} {interval(one):>24}  {one.verdict}"
    for (suite, length), one in found.means.items():
        name = f"{suite}: mean over {_tasks(one)}, {length}"
        yield f"{name:<44} {interval(one):>24}  {one.verdict}"


def sentences(found: Comparison, one: str, other: str) -> Iterator[str]:
    """What a table says of ``one`` against ``other``: first the means over tasks, then the cells."""
    if not found.cells:
        return
    means = [
        f"{interval(mean)} at {length} tokens ({suite}, {_tasks(mean)}: {mean.verdict})"
        for (suite, length), mean in found.means.items()
    ]
    yield (
        f"{one} minus {other}, mean over tasks, points of 100 with their 95 % interval: "
        f"{'; '.join(means)}."
    )
    marked = {
        verdict: [cell for cell, d in found.cells.items() if d.verdict == verdict]
        for verdict in (BETTER, WORSE, NOISE, TOO_FEW)
    }
    tested = len(found.cells) - len(marked[TOO_FEW])
    few = f" In {len(marked[TOO_FEW])} there are too few samples." if marked[TOO_FEW] else ""
    yield (
        f"Compared sample by sample, {one} is better than {other} in {_names(marked[BETTER])}, "
        f"worse in {_names(marked[WORSE])}, and inside noise in {len(marked[NOISE])} of {tested} "
        f"cells.{few} Marks are at {100 * ALPHA:g} % for the whole table (Holm's correction): "
        f"without it, chance alone would mark about {by_chance(found.cells.values()):.1f} cells."
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
