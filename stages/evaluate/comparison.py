"""Two models on the same samples, and one model over lengths.

The paired bootstrap draws whole samples anew: what both models find hard or easy cancels out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from stages.evaluate.statistics import error_of_equals

DRAWS = 10_000
EFFECTIVE = 85.6
"""RULER: a length is effective where the mean over the 13 tasks passes this (Llama-2-7B at 4K)."""
_SEED = 42


@dataclass(frozen=True)
class Difference:
    """Mean difference of paired scores, 0 to 100, and its 95 % interval."""

    n: int
    value: float
    low: float
    high: float

    @property
    def verdict(self) -> str:
        """In words: an interval that holds 0 is noise."""
        if self.low <= 0.0 <= self.high:
            return "inside noise"
        return "better" if self.value > 0 else "worse"


def paired(one: Sequence[float], other: Sequence[float]) -> Difference:
    """Scores (0 to 1) of two models on the same samples in the same order.

    Raises ``ValueError`` where there are no samples or the numbers differ.
    """
    if len(one) != len(other) or not one:
        raise ValueError(f"{len(one)} and {len(other)} scores: the same samples are needed")
    differences = 100 * (np.asarray(one, dtype=np.float64) - np.asarray(other, dtype=np.float64))
    rng = np.random.default_rng(_SEED)
    count = len(differences)
    means = np.concatenate(
        [
            differences[rng.integers(0, count, (DRAWS // 10, count))].mean(axis=1)
            for _ in range(10)  # in parts: 10,000 x 6,500 indices would take half a gigabyte
        ]
    )
    low, high = np.quantile(means, (0.025, 0.975))
    return Difference(count, round(float(differences.mean()), 6), float(low), float(high))


def paired_records(
    one: Sequence[Mapping[str, Any]], other: Sequence[Mapping[str, Any]]
) -> Difference:
    """The difference of two lists of records of the same samples, in any order.

    Raises ``ValueError`` where they are not.
    """
    theirs = {record["id"]: record["score"] for record in other}
    if set(theirs) != {record["id"] for record in one}:
        raise ValueError("records of other samples")
    return paired([r["score"] for r in one], [theirs[r["id"]] for r in one])


def over_lengths(means: Mapping[int, float]) -> dict[str, Any]:
    """Figures of a suite's mean scores by length.

    ``wavg_inc`` and ``wavg_dec`` weigh lengths linearly, rising and falling; ``effective_length``
    is the largest that passes ``EFFECTIVE`` (none: no length does); ``retention`` is relative to
    the shortest length (none where that scores 0).
    """
    lengths = sorted(means)
    rising = list(range(1, len(lengths) + 1))
    total = sum(rising)
    values = [means[length] for length in lengths]
    passed = [length for length in lengths if means[length] > EFFECTIVE]
    first = values[0]
    return {
        "wavg_inc": round(sum(w * v for w, v in zip(rising, values, strict=True)) / total, 6),
        "wavg_dec": round(
            sum(w * v for w, v in zip(reversed(rising), values, strict=True)) / total, 6
        ),
        "effective_length": max(passed, default=None),
        "retention": {
            str(length): round(means[length] / first, 6) if first else None for length in lengths
        },
    }


def summary(cells: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> dict[str, Any]:
    """A suite's mean over tasks by length, and what ``over_lengths`` makes of it.

    Without a length that all tasks have there is nothing to sum up.
    """
    means = suite_means(cells)
    if not means:
        return {"mean": {}}
    return {
        "mean": {str(length): row for length, row in means.items()},
        **over_lengths({length: row["score"] for length, row in means.items()}),
    }


def suite_means(cells: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> dict[int, dict[str, Any]]:
    """Mean over tasks at every length that all tasks have, and its standard error.

    Tasks' errors are independent; a cell without one (a single sample) leaves the mean's unknown.
    """
    common = set.intersection(*(set(lengths) for lengths in cells.values()))
    found: dict[int, dict[str, Any]] = {}
    for length in sorted(common, key=int):
        rows = [lengths[length] for lengths in cells.values()]
        errors = [
            error_of_equals(row["n"]) if row["stderr"] == 0.0 else row["stderr"] for row in rows
        ]
        known = None not in errors
        found[int(length)] = {
            "score": round(sum(row["score"] for row in rows) / len(rows), 6),
            "stderr": (
                round(sum(error**2 for error in errors) ** 0.5 / len(rows), 6) if known else None
            ),
            "tasks": len(rows),
        }
    return found
