"""The figures of a run that fit a line: ``report/metrics.json``, for ``dvc metrics`` and ``dvc exp``.

At most 14 of them with names of at most 10 characters, so that a line of ``dvc metrics show`` stays
below 200. Differences are of the variant in question (``focus``) minus the reference, of the mean
over RULER's tasks (or those of the first suite in which somebody scores), 0 to 100, with its 95 %
interval. ``train`` and ``ext`` are the lengths of the page's first two cards, and the words are
theirs. A figure that was not measured is left out. ``report/summary.csv`` has a row for every variant
and length.
"""

from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean
from typing import Any

from stages.report.readings import as_trained, by_kind, first_suite

PLACES = {"train": "trained", "ext": "extended"}
"""Names here, and the kinds of lengths that they are."""
NAMES = (
    *(f"{what}_{place}" for what in ("diff", "low", "high", "ours", "ref") for place in PLACES),
    "loss", "ref_loss", "base_loss", "verdict",
)  # fmt: skip
"""All there can be; ``loss`` is of validation, nats per token, within the trained length."""
# ``verdict``: the page's word for the longest length beyond the trained one, where there is one.
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
    measured = metrics["suites"].get(focus, {})
    cards = {card["name"]: card for card in (metrics["verdict"] or {}).get("cards", ())}
    judged = (card["suite"] for card in cards.values() if card.get("suite"))
    suite = next(judged, first_suite(measured))
    means = measured[suite]["mean"] if suite else {}
    kinds = by_kind(metrics["readings"][focus], map(int, means))
    verdict = None
    for place, kind in PLACES.items():
        card = cards.get(kind, {})
        if card.get("verdict"):
            found |= {f"diff_{place}": _two(card["value"])}
            found |= {f"low_{place}": _two(card["low"]), f"high_{place}": _two(card["high"])}
            verdict = card["verdict"]
        for name, variant in (("ours", focus), ("ref", reference)):
            length = f"{kinds[kind][-1]}" if kind in kinds else None
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


def _loss(metrics: Mapping[str, Any], validation: Mapping[str, Any] | None) -> float | None:
    """Validation loss at the longest length read as trained, nats per token, over all texts."""
    reading = metrics["readings"][metrics["focus"]]
    lengths = {length for found in (validation or {}).values() for length in found}
    within = [length for length in lengths if as_trained(reading, int(length))]
    mean = _mean(validation or {}, max(within, key=int)) if within else None
    return None if mean is None else round(mean, 4)


def _mean(validation: Mapping[str, Any], length: str) -> float | None:
    losses = [found[length]["loss"] for found in validation.values() if length in found]
    return round(fmean(losses), 6) if losses else None


def _two(value: float | None) -> float | None:
    return None if value is None else round(value, 2)
