"""Drawings of learned positions: a panel a layer with all its heads, a panel a head on demand."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from markupsafe import Markup

from stages.report import chart
from stages.report.inputs import Item

MOST_PANELS = 192
"""Heads that have a panel; deeper models show evenly spread layers (1B: all 176)."""
MOST_POINTS = 60_000
"""Points of all panels together, about 0.6 MB of SVG; longer inputs are thinned."""
COLORS = ("var(--structured)", "var(--noisy)", "var(--other1)")
HEIGHT = 200


class Layer(NamedTuple):
    """What is drawn of a layer."""

    name: str
    sample: Markup | None
    """All heads over a retrieval sample, needle and question marked."""
    heads: Sequence[Markup]
    """Each head over the probes."""


def layers(item: Item) -> list[Layer]:
    """The layers of an item that learn positions; empty without any."""
    probes = item.analysis["positions"]
    names = sorted({layer for layers in probes.values() for layer in layers}, key=int)
    if not names:
        return []
    heads = len(next(iter(probes.values()))[names[0]]["z"])
    shown = _spread(names, max(1, MOST_PANELS // heads))
    points = max(40, MOST_POINTS // (len(shown) * heads * (len(probes) + 1)))
    sample = item.analysis.get("sample")
    return [
        Layer(
            name,
            _of_sample(sample, name, points) if sample else None,
            _heads({probe: found[name]["z"] for probe, found in probes.items()}, name, points),
        )
        for name in shown
    ]


def _of_sample(sample: Mapping[str, Any], layer: str, points: int) -> Markup:
    z_by_head, every = sample["layers"][layer]["z"], sample["every"]
    lines = [
        chart.Line(f"head {head}", _thinned(z, every, points), _shade(head, len(z_by_head)))
        for head, z in enumerate(z_by_head)
    ]
    low, high = _range([z_by_head])
    spans = [chart.Span("needle", a, b, "needle") for a, b in sample["needle_span"]]
    spans += [chart.Span("question", a, b, "question") for a, b in sample["query_span"]]
    axes = chart.Axes(
        "token of the prompt", "position z", (0, sample["tokens"]), (low, high), spans
    )
    return chart.chart(
        [_rope(sample["tokens"], high), *lines],
        axes,
        f"Positions of layer {layer} over the tokens of {sample['id']}, a line a head",
        (chart.WIDTH, HEIGHT),
    )


def _heads(z_by_probe: Mapping[str, list[list[float]]], layer: str, points: int) -> list[Markup]:
    """The heads of a layer, drawn to the same scale."""
    low, high = _range(z_by_probe.values())
    tokens = max(len(heads[0]) for heads in z_by_probe.values())
    panels = []
    for head in range(len(next(iter(z_by_probe.values())))):
        lines = [
            chart.Line(probe, _thinned(heads[head], 1, points), color)
            for (probe, heads), color in zip(z_by_probe.items(), COLORS * 9, strict=False)
        ]
        axes = chart.Axes("token", f"z, head {head}", (0, tokens), (low, high))
        text = f"Positions of layer {layer}, head {head} for {' and '.join(z_by_probe)} input"
        panels.append(chart.chart([_rope(tokens, high), *lines], axes, text, chart.SMALL))
    return panels


def _rope(tokens: int, high: float) -> chart.Line:
    """What RoPE would give: 1 a token, cut where it leaves the panel."""
    end = min(float(tokens), max(high, 0.0))
    return chart.Line("RoPE", [(0.0, 0.0), (end, end)], "var(--faint)", "2 3")


def _range(groups: Any) -> tuple[float, float]:
    values = [z for heads in groups for head in heads for z in head]
    low, high = min(values), max(values)
    pad = 0.06 * (high - low) or 0.5
    return low - pad, high + pad


def _thinned(z: Sequence[float], every: int, points: int) -> list[tuple[float, float]]:
    step = -(-len(z) // points)
    return [(i * every, z[i]) for i in range(0, len(z), step)]


def _shade(head: int, heads: int) -> str:
    """Heads have no colour of their own that could be told apart in number: shades of one."""
    share = 100 - round(60 * head / max(heads - 1, 1))
    return f"color-mix(in srgb, var(--structured) {share}%, var(--ink))"


def _spread(layers: list[str], most: int) -> list[str]:
    """At most ``most`` of the layers, first and last among them."""
    if len(layers) <= most:
        return layers
    if most == 1:
        return layers[-1:]
    return [layers[round(i * (len(layers) - 1) / (most - 1))] for i in range(most)]
