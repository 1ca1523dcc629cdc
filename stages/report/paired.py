"""RePo against RoPE on the same samples: a paired bootstrap per cell, and a verdict in words."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from statistics import fmean
from typing import Any

from stages.common import paths
from stages.common.files import read_jsonl
from stages.evaluate import perplexity
from stages.evaluate.comparison import paired
from stages.evaluate.records import window_records
from stages.report.formats import label, listing
from stages.report.inputs import Item

ONE, OTHER = "repo", "rope"


def comparisons(items: Sequence[Item]) -> dict[str, Any]:
    """Suite -> task -> length -> the difference of ``ONE`` and ``OTHER`` with its 95 % interval.

    A sample's score is its mean over the seeds; the interval is over samples, not over training
    runs. Empty where a variant or the records are missing.
    """
    one, other = (_scores(items, variant) for variant in (ONE, OTHER))
    found: dict[str, Any] = {}
    for cell in sorted(one.keys() & other.keys()):
        suite, task, length = cell
        common = sorted(one[cell].keys() & other[cell].keys())
        if not common:
            continue
        difference = paired([one[cell][i] for i in common], [other[cell][i] for i in common])
        found.setdefault(suite, {}).setdefault(task, {})[length] = {
            "n": difference.n,
            "value": difference.value,
            "low": round(difference.low, 6),
            "high": round(difference.high, 6),
            "verdict": difference.verdict,
        }
    return found


def paired_losses(items: Sequence[Item]) -> dict[str, Any]:
    """Source -> length -> validation loss of ``ONE`` minus ``OTHER``'s, window by window.

    A window's loss is its mean over the seeds; ``noise`` is the standard error over windows, not over
    training runs. Empty where a variant or the records are missing.
    """
    one, other = (_window_losses(items, variant) for variant in (ONE, OTHER))
    found = perplexity.differences(one, other)
    return {
        source: {
            length: {"n": cell["n"], "value": cell["value"], "noise": cell["stderr"]}
            for length, cell in lengths.items()
        }
        for source, lengths in found.items()
    }


def _window_losses(items: Sequence[Item], variant: str) -> list[dict[str, Any]]:
    """A record a window, its loss the mean over seeds."""
    losses: dict[tuple[str, int, int], list[float]] = defaultdict(list)
    for item in items:
        if item.variant == variant:
            samples = paths.results(f"{item.variant}-{item.seed}") / "samples"
            for row in window_records(samples):
                losses[row["source"], row["length"], row["start"]].append(row["loss"])
    return [
        {"source": source, "length": length, "start": start, "loss": fmean(found), "yarn_factor": 1}
        for (source, length, start), found in losses.items()
    ]


def _scores(items: Sequence[Item], variant: str) -> dict[tuple[str, str, str], dict[str, float]]:
    """Cell -> sample -> score, mean over seeds."""
    found: dict[tuple[str, str, str], dict[str, list[float]]] = defaultdict(dict)
    for item in items:
        if item.variant != variant:
            continue
        folder = paths.results(f"{item.variant}-{item.seed}") / "samples"
        for file in sorted(folder.glob("*.jsonl")):
            for row in read_jsonl(file):
                cell = found[row["suite"], row["task"], str(row["length"])]
                cell.setdefault(row["id"], []).append(row["score"])
    return {
        cell: {sample: fmean(scores) for sample, scores in samples.items()}
        for cell, samples in found.items()
    }


def sentences(metrics: dict[str, Any]) -> Iterator[str]:
    """Which cells differ on the same samples, and how many are inside noise."""
    verdicts: dict[str, list[str]] = {"better": [], "worse": [], "inside noise": []}
    for tasks in metrics["paired"].values():
        for task, lengths in tasks.items():
            for length in sorted(lengths, key=int):
                verdicts[lengths[length]["verdict"]].append(f"{task} at {length}")
    total = sum(len(cells) for cells in verdicts.values())
    if total:
        yield (
            f"Compared sample by sample (paired bootstrap, 95 %), {label(ONE)} is better than "
            f"{label(OTHER)} in {listing(verdicts['better']) or 'no cell'}, worse in "
            f"{listing(verdicts['worse']) or 'no cell'}, and inside noise in "
            f"{len(verdicts['inside noise'])} of {total} cells."
        )
