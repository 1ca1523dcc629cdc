"""Means and standard errors of the cells of a result."""

import math
from collections.abc import Mapping, Sequence
from typing import Any


def mean(values: Sequence[float]) -> float:
    """Arithmetic mean."""
    return math.fsum(values) / len(values)


def standard_error(values: Sequence[float]) -> float | None:
    """Standard error of the mean over independent values; none for a single one."""
    if len(values) < 2:
        return None
    centre = mean(values)
    variance = math.fsum((value - centre) ** 2 for value in values) / (len(values) - 1)
    return math.sqrt(variance / len(values))


def error_of_equals(n: int) -> float:
    """Standard error, 0 to 100, of a cell whose n samples all scored 0, or all 1.

    Their scatter is nil, which would make any difference from them significant: the binomial error
    of Laplace's estimate 1 / (n + 2) stands instead (n = 100: 1.0).
    """
    share = 1 / (n + 2)
    return round(100 * math.sqrt(share * (1 - share) / n), 6)


def cell(records: Sequence[Mapping[str, Any]], budget: int, yarn_factor: float) -> dict[str, Any]:
    """Figures of one task at one length; scores are 0 to 100.

    ``above_shortcut`` says whether the score passes the shortcut baseline by more than two standard
    errors: only then did the model use the question.
    """
    scores = [record["score"] for record in records]
    score, error = 100 * mean(scores), standard_error(scores)
    known = [record["shortcut"] for record in records if record["shortcut"] is not None]
    shortcut = 100 * mean(known) if len(known) == len(records) else None
    above = None
    if shortcut is not None and error is not None:
        above = score - shortcut > 2 * 100 * error
    return {
        "n": len(records),
        "score": round(score, 6),
        "stderr": None if error is None else round(100 * error, 6),
        "shortcut": None if shortcut is None else round(shortcut, 6),
        "above_shortcut": above,
        "fill": round(mean([(r["prompt_tokens"] + budget) / r["length"] for r in records]), 6),
        "empty": sum(not record["prediction"].strip() for record in records),
        "truncated": sum(record["truncated"] for record in records),
        "unended": sum(not (r["ended_by_eos"] or r["stopped"]) for r in records),
        "yarn_factor": yarn_factor,
    }
