"""The figures of a run that fit a line: ``report/metrics.json``, for ``dvc metrics`` and ``dvc exp``.

At most 14 of them with names of at most 10 characters, so that a line of ``dvc metrics show`` stays
below 200. Differences are of the variant in question (``focus``) minus the reference, of the mean
over RULER's tasks (without RULER: those of the first suite), 0 to 100, with its 95 % interval.
``train`` is the longest measured length within the trained one, ``ext`` the longest beyond. A figure
that was not measured is left out. ``report/summary.csv`` has a row for every variant and length.
"""

from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean
from typing import Any

from stages.benchmarks import ruler
from stages.evaluate.significance import BETTER, NOISE, TOO_FEW, WORSE

PLACES = ("train", "ext")
NAMES = (
    *(f"{what}_{place}" for what in ("diff", "low", "high", "ours", "ref") for place in PLACES),
    "loss", "ref_loss", "base_loss", "verdict",
)  # fmt: skip
"""All there can be; ``loss`` is of validation, nats per token, within the trained length."""
VERDICTS = {BETTER: "better", WORSE: "worse", NOISE: "noise", TOO_FEW: "too few"}
"""``verdict``: of the longest length beyond the trained one, where there is one."""
COLUMNS = (
    "variant", "figure", "length", "value", "stderr", "difference", "low", "high", "verdict",
)  # fmt: skip
"""Of ``summary.csv``; ``difference`` and its interval are from the reference."""
LOSS = "validation loss"


def headline(metrics: Mapping[str, Any]) -> dict[str, float | str]:
    """The figures; numbers are rounded to what their errors allow anybody to read."""
    focus, reference = metrics["focus"], metrics["reference"]
    if reference not in metrics["suites"]:
        reference = focus
    found: dict[str, float | str | None] = {}
    suites = metrics["suites"].get(focus, {})
    suite = ruler.SUITE if ruler.SUITE in suites else next(iter(suites), None)
    lengths = _lengths(metrics, focus, suite)
    verdict = None
    for place, length in lengths.items():
        pair = metrics["comparison"]["means"].get(suite, {}).get(length)
        if pair:
            found |= {f"diff_{place}": _two(pair["value"])}
            found |= {f"low_{place}": _two(pair["low"]), f"high_{place}": _two(pair["high"])}
            verdict = VERDICTS[pair["verdict"]]
        for name, variant in (("ours", focus), ("ref", reference)):
            row = metrics["suites"].get(variant, {}).get(suite, {}).get("mean", {}).get(length)
            found[f"{name}_{place}"] = _two(row["score"]) if row else None
    found["loss"] = _loss(metrics, metrics["validation"].get(focus))
    found["ref_loss"] = _loss(metrics, metrics["validation"].get(reference))
    found["base_loss"] = _loss(metrics, (metrics["base"] or {}).get("validation"))
    found["verdict"] = verdict
    return {name: value for name, value in found.items() if value is not None}


def rows(metrics: Mapping[str, Any]) -> Iterator[Sequence[object]]:
    """Of ``summary.csv``: each variant's mean of every suite and its mean loss, by length."""
    for variant in metrics["variants"]:
        pairs = metrics["comparisons"].get(variant, {}).get("means", {})
        for suite, figures in metrics["suites"].get(variant, {}).items():
            for length, row in figures["mean"].items():
                pair = pairs.get(suite, {}).get(length) or {}
                beside = [pair.get(name) for name in ("value", "low", "high", "verdict")]
                yield variant, suite, length, row["score"], row["stderr"], *beside
        losses = metrics["validation"].get(variant, {})
        theirs = metrics["validation"].get(metrics["reference"], {})
        for length in sorted({length for found in losses.values() for length in found}, key=int):
            value, other = _mean(losses, length), _mean(theirs, length)
            difference = None
            if variant != metrics["reference"] and value is not None and other is not None:
                difference = round(value - other, 6)
            yield variant, LOSS, length, value, None, difference, None, None, None


def _lengths(metrics: Mapping[str, Any], focus: str, suite: str | None) -> dict[str, str]:
    """``{"train": L, "ext": L}``, those that were measured."""
    measured = metrics["suites"].get(focus, {}).get(suite, {}).get("mean", {})
    trained = metrics["readings"][focus]["length"]
    within = [length for length in measured if int(length) <= trained]
    beyond = [length for length in measured if int(length) > trained]
    found = {"train": max(within, key=int)} if within else {}
    return found | ({"ext": max(beyond, key=int)} if beyond else {})


def _loss(metrics: Mapping[str, Any], validation: Mapping[str, Any] | None) -> float | None:
    """Validation loss at the longest length within the trained one, nats per token, over all texts."""
    trained = metrics["readings"][metrics["focus"]]["length"]
    lengths = {length for found in (validation or {}).values() for length in found}
    within = [length for length in lengths if int(length) <= trained]
    mean = _mean(validation or {}, max(within, key=int)) if within else None
    return None if mean is None else round(mean, 4)


def _mean(validation: Mapping[str, Any], length: str) -> float | None:
    losses = [found[length]["loss"] for found in validation.values() if length in found]
    return round(fmean(losses), 6) if losses else None


def _two(value: float | None) -> float | None:
    return None if value is None else round(value, 2)
