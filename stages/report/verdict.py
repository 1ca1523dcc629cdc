"""The answer on the first screen: four numbers with their intervals, and one sentence.

- Trained: the mean over tasks at the longest length that the model was read at as it was trained.
- Extended: the same at the longest length beyond it; the lengths between stand under it.
- Loss: validation loss at the longest length as trained, mean over the texts, window by window.
- Cost: training FLOPs a token more than the reference's, by ``stages.report.costs``.

Lengths are chosen by ``stages.report.readings``; every interval, mark and word comes from
``stages.evaluate.significance``.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from stages.common import paths
from stages.evaluate import significance, verdicts
from stages.evaluate.records import window_records
from stages.evaluate.significance import Comparison, Difference, Runs
from stages.report.formats import NONE, between, label, signed, suite_name
from stages.report.inputs import Item
from stages.report.readings import KINDS, as_trained, by_kind, first_suite

SHORT = {"trained": "at the trained length", "extended": "extended", "loss": "validation loss"}

HOLM = (
    "An interval that leaves 0 out is no mark by itself: better and worse are said by Holm's rule for "
    "the whole table, for of many comparisons chance alone puts some outside."
)


def verdict(
    items: Sequence[Item],
    found: Comparison,
    reading: Mapping[str, Any],
    focus: str,
    reference: str,
    costs: Mapping[str, Any],
) -> dict[str, Any] | None:
    """Cards (name, title, number, note, verdict) and what they come to; none without two variants."""
    if focus == reference or reference not in {item.variant for item in items}:
        return None
    cards = [
        *_scores(found, reading),
        _loss(items, reading, focus, reference),
        _cost(items, focus, reference, costs),
    ]
    judged = [card for card in cards if card["verdict"]]
    asked = [f"{card['short']}: {card['tell']}" for card in cards if card["tell"]]
    said = [f"{SHORT[card['name']]} {card['verdict']}" for card in judged]
    seeds = len({item.seed for item in items})
    runs = "this training run" if seeds == 1 else f"these {seeds} training runs"
    few = seeds < significance.SEEDS
    return {
        "cards": cards,
        "sentence": f"{label(focus)} against {label(reference)}: {'; '.join(said)}."
        if said
        else f"{label(focus)} against {label(reference)}: nothing was measured of both.",
        "tell": [
            *([f"What would tell: {'; '.join(asked)}."] if asked else []),
            *([HOLM] if any(unmarked(card) for card in judged) else []),
            *(
                [
                    f"All of this is about {runs}: {significance.SEEDS} seeds would tell how far "
                    "another run would be."
                ]
                if few and said
                else []
            ),
        ],
    }


def unmarked(card: Mapping[str, Any]) -> bool:
    """Whether a reader of the interval alone would expect another word."""
    if card["verdict"] in (significance.BETTER, significance.WORSE) or card.get("low") is None:
        return False
    return bool(card["low"] > 0 or card["high"] < 0)


def _scores(found: Comparison, reading: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    answered = {mean[0] for mean, one in found.means.items() if one.scored}
    suite = first_suite(answered or {mean[0] for mean in found.means})
    means = {int(mean[1]): one for mean, one in found.means.items() if mean[0] == suite}
    kinds = by_kind(reading, means)
    for what in KINDS:
        if suite is None or what not in kinds:
            yield _card(what, f"Score, {what}", NONE, "not measured")
            continue
        *between_them, longest = kinds[what]
        one = means[longest]
        factor = reading["factors"].get(str(longest), 1.0)
        way = f"{what}, YaRN x{factor:g}" if factor != 1.0 else what
        tasks = f"{one.tasks} task{'s' if one.tasks != 1 else ''}"
        others = [
            f"{length:,} tokens: {between(d.value, d.low, d.high)}, {significance.call(d)}"
            for length, d in ((length, means[length]) for length in between_them)
        ]
        yield _judged(what, one, significance.ALIKE_POINTS, "points", 1) | {
            "suite": suite,
            "length": longest,
            "title": f"{suite_name(suite)}, {longest:,} tokens ({way}), {tasks}",
            "short": f"{longest:,} tokens",
            "others": others,
        }


def _loss(
    items: Sequence[Item], reading: Mapping[str, Any], focus: str, reference: str
) -> dict[str, Any]:
    one, other = _windows(items, focus), _windows(items, reference)
    common = [key for key in one if key in other and as_trained(reading, key[1])]
    longest = max((length for _, length in common), default=0)
    texts = [key for key in common if key[1] == longest]
    title = f"Validation loss, {longest:,} tokens (trained)" if texts else "Validation loss"
    found = significance.difference([(one[key], other[key]) for key in texts])
    if found is None:
        return _card("loss", title, NONE, "not measured")
    judged = significance.corrected({"loss": found})["loss"]
    card = _judged("loss", judged, significance.ALIKE_NATS, "nats", 3, lower_is_better=True)
    of = f"mean over {len(texts)} texts" if len(texts) > 1 else texts[0][0]
    return card | {"title": f"{title}, {of}; below 0 is better", "short": "loss"}


def _windows(items: Sequence[Item], variant: str) -> dict[tuple[str, int], Runs]:
    """Losses by text and length, a mapping for each seed, in hundredths of a nat.

    ``significance`` takes scores of 0 to 1 and gives points of 100: so it gives nats here.
    """
    found: dict[tuple[str, int], list[dict[str, float]]] = {}
    for item in items:
        if item.variant != variant:
            continue
        runs: dict[tuple[str, int], dict[str, float]] = {}
        for row in window_records(paths.results(f"{item.variant}-{item.seed}") / "samples"):
            key = (row["source"], int(row["length"]))
            runs.setdefault(key, {})[f"{row['start']}"] = row["loss"] / 100
        for key, run in runs.items():
            found.setdefault(key, []).append(run)
    return {**found}


def _cost(
    items: Sequence[Item], focus: str, reference: str, costs: Mapping[str, Any]
) -> dict[str, Any]:
    """What ``focus`` takes more than ``reference``; its layers alone where no shape is known."""
    analysis = next(item.analysis for item in items if item.variant == focus)
    layers = f"{len(analysis['collapsed'])} of {len(analysis['layers'])} layers"
    if not {focus, reference} <= costs.keys():
        return _card("cost", "Cost: layers that learn positions", layers, "same training tokens")

    def more(name: str) -> str:
        value, other = costs[focus][name], costs[reference][name]
        return "the same" if value == other else f"{signed(100 * (value / other - 1), 1)} %"

    note = (
        f"same training tokens; {layers} learn positions; parameters {more('parameters')}, "
        f"cache {more('cache_bytes')}"
    )
    title = "Cost, counted: FLOPs of a token's training"
    return _card("cost", title, more("training_flops"), note)


def _judged(
    name: str,
    one: Difference,
    alike: float,
    unit: str,
    digits: int,
    lower_is_better: bool = False,
) -> dict[str, Any]:
    said = significance.call(one, alike, lower_is_better)
    known = one.low is not None and one.high is not None
    note = f"{signed(one.low, digits)} to {signed(one.high, digits)}" if known else "no interval"  # type: ignore[arg-type]
    tell = verdicts.would_tell(one, alike) if said == significance.CANNOT_TELL else ""
    card = _card(name, "", f"{signed(one.value, digits)} {unit}", f"{note} (n = {one.n:,})")
    return card | {**one.as_dict(), "verdict": said, "tell": tell}


def _card(name: str, title: str, number: str, note: str) -> dict[str, Any]:
    return {
        "name": name,
        "title": title,
        "short": "",
        "number": number,
        "note": note,
        "verdict": "",
        "tell": "",
        "others": [],
    }


def lines(found: Mapping[str, Any]) -> Iterator[str]:
    """The cards and the sentence for a terminal."""
    yield found["sentence"]
    yield ""
    for card in found["cards"]:
        yield f"  {card['number']:>14}  {card['title']}"
        says = f"{card['note']}: {card['verdict']}" if card["verdict"] else card["note"]
        yield f"{'':18}{says}"
        yield from (f"{'':18}{other}" for other in card["others"])
    yield ""
    yield from found["tell"]
