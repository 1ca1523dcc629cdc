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
    """Standard error, 0 to 100, of a cell whose n answers were all wrong, or all right.

    Their scatter is nil: the binomial error of Laplace's estimate 1 / (n + 2) stands instead (n = 100:
    1.0). Of scores that are shares it would say nothing.
    """
    share = 1 / (n + 2)
    return round(100 * math.sqrt(share * (1 - share) / n), 6)


def right_or_wrong(metric: str, samples: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a metric gives these samples 0 or 1 and nothing between."""
    if metric == "string_match_all":
        return all(len(sample["outputs"]) == 1 for sample in samples)
    return metric in _RIGHT_OR_WRONG


_RIGHT_OR_WRONG = ("string_match_part", "normalised_substring", "choice")


def cell(
    records: Sequence[Mapping[str, Any]], budget: int, yarn_factor: float, metric: str = ""
) -> dict[str, Any]:
    """Figures of one task at one length; scores are 0 to 100."""
    scores = [record["score"] for record in records]
    error = standard_error(scores)
    stderr = None if error is None else round(100 * error, 6)
    if stderr == 0.0 and scores[0] in (0.0, 1.0) and right_or_wrong(metric, records):
        stderr = error_of_equals(len(records))
    known = [record["shortcut"] for record in records if record["shortcut"] is not None]
    return {
        "n": len(records),
        "score": round(100 * mean(scores), 6),
        "stderr": stderr,
        "shortcut": round(100 * mean(known), 6) if len(known) == len(records) else None,
        "fill": round(mean([(r["prompt_tokens"] + budget) / r["length"] for r in records]), 6),
        "empty": sum(not record["prediction"].strip() for record in records),
        "truncated": sum(record["truncated"] for record in records),
        "unended": sum(not (r["ended_by_eos"] or r["stopped"]) for r in records),
        "yarn_factor": yarn_factor,
    }
