"""Whether two models differ: the one rule, asked by the report, its terminal and ``--against``.

- Samples are paired: the same ones for both, what is hard for both cancels out.
- With fewer than 30 differences that are not 0, and wherever all are of one size (scores of 0 and 1),
  the test is exact: the signs of the differences are exchangeable if the models are alike. Otherwise
  it is Student's t. Below 10 samples nothing is said.
- Over the cells of a table, Holm's correction keeps the chance of any false mark below 5 %.
- A mean over tasks is stratified: each task's samples vary by themselves. Welch and Satterthwaite
  give the degrees of freedom of its interval.
- With three or more seeds the seeds are the sample: Student's t over the differences of each pair of
  runs, each the mean over the same samples. Below three, what is said is of these training runs.

Intervals are of one cell alone (95 %), marks are of the table: an interval without 0 may be unmarked.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from statistics import NormalDist, fmean, variance
from typing import Any, TypeVar

import numpy as np

ALPHA = 0.05
LEAST = 10
"""Samples below which nothing is said."""
FEW = 30
"""Differences below which the exact test takes the place of Student's t."""
SEEDS = 3
"""Pairs of runs from which on the seeds are the sample."""
LARGEST = 100.0
"""Points: no two scores are further apart."""
BETTER, WORSE, NOISE, TOO_FEW = "better", "worse", "inside noise", "too few samples"
"""Marks of a table."""
EQUAL, CANNOT_TELL = "equal", "cannot tell"
"""What is said of a difference that bears no mark."""
ALIKE_POINTS, ALIKE_NATS = 1.0, 0.01
"""Differences within which two models count as equal: points of a score of 100, nats of a loss."""

_Key = TypeVar("_Key")
Runs = Sequence[Mapping[str, float]]
"""Scores (0 to 1) by sample, one mapping for each seed."""
Cell = tuple[str, str, str]
"""Suite, task, length."""
Mean = tuple[str, str]
"""Suite, length."""


@dataclass(frozen=True)
class Difference:
    """A mean difference, 0 to 100, with its 95 % interval and p (none: too few samples)."""

    n: int
    tasks: int
    seeds: int
    value: float
    low: float | None
    high: float | None
    p: float | None
    p_holm: float | None = None
    """p after Holm's correction over the table."""
    scored: bool = True
    """Whether either side scores anything: where both score 0, being alike shows nothing."""

    @property
    def mark(self) -> str:
        """After the correction."""
        if self.p_holm is None:
            return TOO_FEW
        if self.p_holm > ALPHA:
            return NOISE
        return BETTER if self.value > 0 else WORSE

    def as_dict(self) -> dict[str, Any]:
        """As metrics.json has it; ``verdict`` is what is said of a difference of scores."""
        numbers = {
            key: round(value, 9) if isinstance(value, float) else value
            for key, value in asdict(self).items()
        }
        return {**numbers, "verdict": call(self)}


@dataclass(frozen=True)
class Comparison:
    """Two models over a table of cells, and the means over tasks at each length."""

    cells: dict[Cell, Difference] = field(default_factory=dict)
    means: dict[Mean, Difference] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """``{cells: {suite: {task: {length: ...}}}, means: {suite: {length: ...}}}``."""
        found: dict[str, Any] = {"cells": {}, "means": {}}
        for (suite, task, length), one in self.cells.items():
            found["cells"].setdefault(suite, {}).setdefault(task, {})[length] = one.as_dict()
        for (suite, length), one in self.means.items():
            found["means"].setdefault(suite, {})[length] = one.as_dict()
        return found


def compare(one: Mapping[Cell, Runs], other: Mapping[Cell, Runs]) -> Comparison:
    """All cells that both have samples of, and the mean over their tasks at each length."""
    pairs = {cell: (one[cell], other[cell]) for cell in one if cell in other}
    cells = {cell: difference([pair]) for cell, pair in pairs.items()}
    known = {cell: found for cell, found in cells.items() if found is not None}
    strata: dict[Mean, list[tuple[Runs, Runs]]] = {}
    for suite, task, length in known:
        strata.setdefault((suite, length), []).append(pairs[suite, task, length])
    means = {mean: difference(tasks) for mean, tasks in strata.items()}
    return Comparison(
        corrected(known), corrected({mean: d for mean, d in means.items() if d is not None})
    )


def difference(tasks: Sequence[tuple[Runs, Runs]]) -> Difference | None:
    """``one`` minus ``other`` as the mean over tasks; none without a sample in common.

    Raises ``ValueError`` where the two have another number of seeds.
    """
    strata = [_paired(one, other) for one, other in tasks]
    if not strata or not all(part.size for part in strata):
        return None
    seeds, n = len(strata[0]), sum(part.shape[1] for part in strata)
    value = fmean(float(part.mean()) for part in strata)
    low = high = p = None
    if n >= LEAST and seeds >= SEEDS:
        runs = [fmean(float(part[seed].mean()) for part in strata) for seed in range(seeds)]
        low, high, p = _student(value, math.sqrt(variance(runs) / seeds), seeds - 1)
    elif n >= LEAST and all(part.shape[1] > 1 for part in strata):
        by_sample = [part.mean(axis=0) for part in strata]
        errors = [float(d.var(ddof=1)) / len(d) / len(strata) ** 2 for d in by_sample]
        low, high, p = _student(value, math.sqrt(math.fsum(errors)), _freedom(errors, by_sample))
        exact = sign_flips(np.concatenate([d / len(d) for d in by_sample]))
        p = p if exact is None else exact
    scored = any(any(run.values()) for pair in tasks for runs in pair for run in runs)
    return Difference(n, len(strata), seeds, round(value, 6), low, high, p, scored=scored)


def call(one: Difference, alike: float = ALIKE_POINTS, lower_is_better: bool = False) -> str:
    """Better, worse, equal (the whole interval lies within ``alike`` of 0) or cannot tell.

    Better and worse are the table's marks. Where no sample of a score differs, the interval has no
    width and shows nothing: then less than 3 of n samples differ (95 %), up to 100 points each. Where
    neither side scores, nothing can be told.
    """
    if one.mark in (BETTER, WORSE):
        return BETTER if (one.value < 0) == lower_is_better else WORSE
    if one.low is None or one.high is None or not one.scored:
        return CANNOT_TELL
    blind = 0.0 if lower_is_better or one.high > one.low else 300 / one.n
    return EQUAL if -alike <= one.low - blind and one.high + blind <= alike else CANNOT_TELL


def from_error(n: int, value: float, error: float) -> Difference:
    """A mean of ``n`` paired differences whose standard error is known (losses by window)."""
    if n < LEAST:
        return Difference(n, 1, 1, value, None, None, None)
    low, high, p = _student(value, error, n - 1)
    return Difference(n, 1, 1, value, low, high, p)


def corrected(table: Mapping[_Key, Difference]) -> dict[_Key, Difference]:
    """Holm's correction over all cells of a table that have a p."""
    ranked = sorted(
        ((d.p, key) for key, d in table.items() if d.p is not None), key=lambda entry: entry[0]
    )
    found, worst = dict(table), 0.0
    for place, (p, key) in enumerate(ranked):
        worst = max(worst, min(1.0, (len(ranked) - place) * p))
        found[key] = replace(table[key], p_holm=worst)
    return found


def by_chance(differences: Iterable[Difference]) -> float:
    """How many cells chance alone would mark without the correction."""
    return ALPHA * sum(d.p is not None for d in differences)


def sign_flips(differences: np.ndarray) -> float | None:
    """Two-sided p of a sum if every sign may be turned; none where there are too many to count.

    Differences of one size: the binomial tail (McNemar's exact test). Below 30 of any size: all
    sums of either half, met in the middle.
    """
    sizes = np.abs(differences[np.abs(differences) > 1e-12])
    count = len(sizes)
    if count == 0:
        return 1.0
    seen = abs(float(differences.sum()))
    if np.ptp(sizes) < 1e-9 * sizes[0]:
        more = round((seen / sizes[0] + count) / 2)
        return min(1.0, 2 * _binomial_tail(count, more))
    if count >= FEW:
        return None
    halves = [_sums(sizes[: count // 2]), np.sort(_sums(sizes[count // 2 :]))]
    close = 1e-9 * float(sizes.sum())
    above = len(halves[1]) - np.searchsorted(halves[1], seen - close - halves[0])
    return min(1.0, 2 * float(above.sum()) / 2.0**count)


def _paired(one: Runs, other: Runs) -> np.ndarray:
    """Differences, 0 to 100, by seed and sample, of the samples that all runs have."""
    if len(one) != len(other) or not one:
        raise ValueError(f"{len(one)} and {len(other)} runs: as many seeds are needed")
    common = sorted(set.intersection(*(set(run) for run in (*one, *other))))
    rows = [[100 * (a[i] - b[i]) for i in common] for a, b in zip(one, other, strict=True)]
    return np.asarray(rows, dtype=np.float64)


def _freedom(errors: Sequence[float], samples: Sequence[np.ndarray]) -> int:
    """Welch and Satterthwaite's degrees of freedom, rounded down."""
    spread = math.fsum(error**2 / (len(d) - 1) for error, d in zip(errors, samples, strict=True))
    return max(1, int(math.fsum(errors) ** 2 / spread)) if spread else 1


def _student(value: float, error: float, freedom: int) -> tuple[float, float, float]:
    """Interval and two-sided p; no difference of scores is beyond 100 points, so no end is either."""
    if error == 0.0:
        return value, value, 1.0 if value == 0.0 else 0.0
    reach = t_quantile(freedom) * error
    low, high = max(value - reach, -LARGEST), min(value + reach, LARGEST)
    return low, high, t_tails(abs(value) / error, freedom)


def _sums(sizes: np.ndarray) -> np.ndarray:
    found = np.zeros(1)
    for size in sizes:
        found = np.concatenate([found - size, found + size])
    return found


def _binomial_tail(count: int, least: int) -> float:
    """Probability of ``least`` or more heads in ``count`` throws."""
    whole = math.lgamma(count + 1) - count * math.log(2)
    return math.fsum(
        math.exp(whole - math.lgamma(k + 1) - math.lgamma(count - k + 1))
        for k in range(least, count + 1)
    )


def t_tails(t: float, freedom: int) -> float:
    """Two-sided p of Student's t (Abramowitz and Stegun 26.7.3 and 26.7.4; normal from 2,000)."""
    if freedom >= 2000:
        return math.erfc(t / math.sqrt(2))
    angle, odd = math.atan2(t, math.sqrt(freedom)), freedom % 2
    cosine, total = math.cos(angle), 0.0
    term = cosine if odd else 1.0
    for k in range(1, freedom // 2 + 1):
        total += term
        term *= cosine**2 * (2 * k / (2 * k + 1) if odd else (2 * k - 1) / (2 * k))
    if odd:
        return max(0.0, 1 - 2 / math.pi * (angle + math.sin(angle) * total))
    return max(0.0, 1 - math.sin(angle) * total)


@lru_cache(maxsize=1024)
def t_quantile(freedom: int) -> float:
    """How many standard errors a 95 % interval reaches."""
    z = NormalDist().inv_cdf(1 - ALPHA / 2)
    if freedom > 200:
        return z + (z**3 + z) / (4 * freedom)
    low, high = 0.0, 13.0  # 12.7 at one degree of freedom
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if t_tails(middle, freedom) > ALPHA else (low, middle)
    return (low + high) / 2
