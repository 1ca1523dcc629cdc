"""One model over lengths: means over the tasks of a suite, and what the lengths come to."""

from collections.abc import Mapping, Sequence
from typing import Any

EFFECTIVE = 85.6
"""RULER: a length is effective where the mean over its tasks passes this (Llama-2-7B at 4K)."""
Cells = Mapping[str, Mapping[str, Mapping[str, Any]]]
"""Task -> length -> figures."""


def over_lengths(means: Mapping[int, float]) -> dict[str, Any]:
    """Figures of mean scores by length, over the same tasks at each.

    ``wavg_inc`` and ``wavg_dec`` weigh lengths linearly, rising and falling; ``retention`` is relative
    to the shortest length (none where that scores 0).
    """
    lengths = sorted(means)
    rising = list(range(1, len(lengths) + 1))
    total = sum(rising)
    values = [means[length] for length in lengths]
    first = values[0]
    return {
        "wavg_inc": round(sum(w * v for w, v in zip(rising, values, strict=True)) / total, 6),
        "wavg_dec": round(
            sum(w * v for w, v in zip(reversed(rising), values, strict=True)) / total, 6
        ),
        "retention": {
            str(length): round(means[length] / first, 6) if first else None for length in lengths
        },
    }


def effective_length(means: Mapping[int, float]) -> int | None:
    """The last length before the first that fails ``EFFECTIVE``; none where the shortest fails."""
    found = None
    for length in sorted(means):
        if means[length] <= EFFECTIVE:
            break
        found = length
    return found


def summary(cells: Cells, official: Sequence[str] = ()) -> dict[str, Any]:
    """A suite's mean over tasks by length, and what the lengths come to.

    The mean of a length is over the tasks that exist there (``tasks``: how many); figures over lengths
    are over the tasks that all lengths have (``common_tasks``; without one there are none).
    ``effective_length`` is over the ``official`` tasks, and there only where all of them were measured
    at every length.
    """
    means = suite_means(cells)
    found: dict[str, Any] = {"mean": {str(length): row for length, row in means.items()}}
    common = {task: row for task, row in cells.items() if len(row) == len(means)}
    if common:
        scores = {length: row["score"] for length, row in suite_means(common).items()}
        found |= {"common_tasks": len(common), **over_lengths(scores)}
    if official and set(official) <= set(common):
        theirs = suite_means({task: common[task] for task in official})
        found["effective_length"] = effective_length(
            {length: row["score"] for length, row in theirs.items()}
        )
    return found


def suite_means(cells: Cells) -> dict[int, dict[str, Any]]:
    """Mean over the tasks that exist at each length, their number, and its standard error.

    Tasks' errors are independent; a cell without one (a single sample) leaves the mean's unknown.
    """
    found: dict[int, dict[str, Any]] = {}
    for length in sorted({length for row in cells.values() for length in row}, key=int):
        rows = [row[length] for row in cells.values() if length in row]
        errors = [row["stderr"] for row in rows]
        known = None not in errors
        found[int(length)] = {
            "score": round(sum(row["score"] for row in rows) / len(rows), 6),
            "stderr": (
                round(sum(error**2 for error in errors) ** 0.5 / len(rows), 6) if known else None
            ),
            "tasks": len(rows),
        }
    return found
