"""Validation loss by place in the window: whether a model uses what stands far before."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from stages.common import paths
from stages.evaluate.records import window_records
from stages.report import chart
from stages.report.figures import legend
from stages.report.formats import label
from stages.report.inputs import Item


def places(items: Sequence[Item]) -> dict[str, Any]:
    """Text -> length -> variant -> mean loss of each part of the windows, nats per token."""
    rows: dict[tuple[str, int, str], list[Sequence[float]]] = defaultdict(list)
    for item in items:
        for row in window_records(paths.results(f"{item.variant}-{item.seed}") / "samples"):
            if "places" in row:
                rows[row["source"], row["length"], item.variant].append(row["places"])
    found: dict[str, Any] = {}
    for (source, length, variant), windows in rows.items():
        means = [round(fmean(part), 6) for part in zip(*windows, strict=True)]
        found.setdefault(source, {}).setdefault(str(length), {})[variant] = means
    return found


def panels(metrics: Mapping[str, Any]) -> list[tuple[str, list[Any]]]:
    """A text's charts, the shortest length first."""
    looks = {entry.key: entry for entry in legend(metrics["scores"])}
    found = []
    for source, lengths in metrics["places"].items():
        drawn = []
        for length in sorted(lengths, key=int):
            lines = [
                chart.Line(label(v), _spread(parts, int(length)), looks[v].color, looks[v].dash)
                for v, parts in lengths[length].items()
            ]
            text = f"Loss over the place in windows of {int(length):,} tokens of {source}"
            axes = chart.Axes(
                f"place in {int(length):,} tokens", "nats per token", (0, int(length))
            )
            drawn.append(chart.chart(lines, axes, text, chart.SMALL))
        found.append((source, drawn))
    return found


def _spread(parts: Sequence[float], length: int) -> list[tuple[float, float]]:
    """Each part's loss at the part's middle."""
    return [((i + 0.5) * length / len(parts), loss) for i, loss in enumerate(parts)]
