"""The report's figures: scores over length, loss curves, learned positions."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.ticker import EngFormatter

from stages.report.formats import label, suites, task_name
from stages.report.inputs import Item, Point
from stages.report.svg import FAINT, OTHERS, SERIES, drawing, inline

MARKERS = {"rope": "o", "nope": "s", "r2n1": "^", "n2r1": "v", "repo": "D"}
DASHES = {"rope": "-", "nope": ":", "r2n1": "--", "n2r1": "-.", "repo": "-"}
OTHER_MARKERS, OTHER_DASHES = "PX*pdh", ("--", "-.", ":", "-")
MOST_PANELS = 192
"""Heads whose positions are drawn; deeper models show evenly spread layers (1B: all 176)."""
MOST_POINTS = 100_000
"""Points of all position plots together, some 1.5 MB of SVG; longer inputs are thinned."""


class Look(NamedTuple):
    """How a variant is drawn."""

    series: str
    """Its colour, a key of ``SERIES``."""
    dash: str
    marker: str


def looks(names: Iterable[str]) -> dict[str, Look]:
    """A look for every variant: a preset's own, the others' in the order in which they are named."""
    found: dict[str, Look] = {}
    number = 0
    for name in names:
        if name in DASHES:
            found[name] = Look(name, DASHES[name], MARKERS[name])
            continue
        color, dash = number % len(OTHERS), (number + number // len(OTHERS)) % len(OTHER_DASHES)
        found[name] = Look(OTHERS[color], OTHER_DASHES[dash], OTHER_MARKERS[color])
        number += 1
    return found


class Panel(NamedTuple):
    """One drawing with the text under it."""

    svg: Markup
    title: str


class Series(NamedTuple):
    """A line of a legend."""

    name: str
    color: str
    dash: str


def legend(names: Iterable[str]) -> list[Series]:
    """Legend in HTML of the variants, one for a group of panels; dashes as SVG writes them."""
    dashes = {"-": "", ":": "2 2", "--": "6 3", "-.": "6 2 1 2"}
    return [
        Series(label(name), f"var(--{look.series})", dashes[look.dash])
        for name, look in looks(names).items()
    ]


def probe_legend(names: Iterable[str]) -> list[Series]:
    """Legend in HTML of the inputs whose positions are drawn."""
    return [Series(name, f"var(--{name})", "") for name in names if name in SERIES]


def scores(metrics: dict[str, Any]) -> list[Panel]:
    """A panel per task: score over length with standard errors, and the shortcut."""
    variants = metrics["scores"]
    first: dict[str, Any] = next(iter(variants.values()))
    return [
        _score_panel(suite, task, {name: found[suite][task] for name, found in variants.items()})
        for suite in suites(first)
        for task in first[suite]
    ]


def _score_panel(suite: str, task: str, by_variant: dict[str, dict[str, Any]]) -> Panel:
    lengths = sorted(next(iter(by_variant.values())), key=int)
    name = f"scores-{suite}-{task}"
    with drawing(name, 2.9, 2.1) as figure:
        axes = figure.add_subplot()
        places = range(len(lengths))
        drawn = looks(by_variant)
        for variant, cells in by_variant.items():
            axes.errorbar(
                places,
                [cells[length]["score"] for length in lengths],
                yerr=[cells[length]["stderr"] or 0.0 for length in lengths],
                color=SERIES[drawn[variant].series],
                linestyle=drawn[variant].dash,
                marker=drawn[variant].marker,
                elinewidth=0.8,
                capsize=2,
            )
        shortcut = [next(iter(by_variant.values()))[length]["shortcut"] for length in lengths]
        if all(value is not None for value in shortcut):
            axes.plot(places, shortcut, color=FAINT, linestyle=(0, (1, 1.5)), linewidth=2.0)
        axes.set(
            title=task_name(suite, task), xlabel="length, tokens", ylabel="score, %", ylim=(-3, 103)
        )
        axes.set_xticks(places, lengths)
        axes.margins(x=0.12)
        variants = ", ".join(label(variant) for variant in by_variant)
        return Panel(inline(figure, name, f"Score of {task} over length for {variants}"), task)


def losses(items: Sequence[Item]) -> Panel:
    """Training loss over tokens, a line per variant and seed."""
    curves: dict[str, list[list[Point]]] = defaultdict(list)
    for item in items:
        curves[item.variant].append(item.curve)
    with drawing("loss", 4.6, 2.8) as figure:
        axes = figure.add_subplot()
        drawn = looks(curves)
        for variant, found in curves.items():
            for curve in found:
                axes.plot(
                    [point.tokens for point in curve],
                    [point.loss for point in curve],
                    color=SERIES[drawn[variant].series],
                    linestyle=drawn[variant].dash,
                    linewidth=1.2,
                )
        axes.set(xlabel="tokens", ylabel="training loss, nats per token")
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))
        text = f"Training loss over tokens for {', '.join(label(name) for name in curves)}"
        return Panel(inline(figure, "loss", text), "training loss")


def positions(item: Item) -> dict[str, list[Panel]]:
    """Layer -> a panel per head: z of the probes' tokens; empty without learned positions."""
    probes = item.analysis["positions"]
    layers = sorted({layer for layers in probes.values() for layer in layers}, key=int)
    if not layers:
        return {}
    heads = len(next(iter(probes.values()))[layers[0]]["z"])
    shown = _spread(layers, max(1, MOST_PANELS // heads))
    points = max(40, MOST_POINTS // (len(shown) * heads * len(probes)))
    return {
        layer: _heads(
            item, layer, {name: found[layer]["z"] for name, found in probes.items()}, points
        )
        for layer in shown
    }


def _heads(
    item: Item, layer: str, z_by_probe: dict[str, list[list[float]]], points: int
) -> list[Panel]:
    """The heads of a layer, drawn to the same scale."""
    values = [z for heads in z_by_probe.values() for head in heads for z in head]
    low, high = min(values), max(values)
    pad = 0.06 * (high - low) or 0.5
    panels = []
    for head in range(len(next(iter(z_by_probe.values())))):
        name = f"z-{item.variant}-{item.seed}-{layer}-{head}"
        with drawing(name, 2.1, 1.4) as figure:
            axes = figure.add_subplot()
            for probe, heads in z_by_probe.items():
                _line(axes, heads[head], SERIES.get(probe, FAINT), points)
            axes.set(title=f"layer {layer}, head {head}", ylim=(low - pad, high + pad))
            axes.tick_params(labelsize=7)
            axes.locator_params(nbins=4)
            text = f"Positions of layer {layer}, head {head} for {' and '.join(z_by_probe)} input"
            panels.append(Panel(inline(figure, name, text), f"layer {layer}, head {head}"))
    return panels


def _line(axes: Axes, z: list[float], color: str, points: int) -> None:
    step = -(-len(z) // points)
    axes.plot(range(0, len(z), step), z[::step], color=color, linewidth=0.9)


def _spread(layers: list[str], most: int) -> list[str]:
    """At most ``most`` of the layers, first and last among them."""
    if len(layers) <= most:
        return layers
    if most == 1:
        return layers[-1:]
    return [layers[round(i * (len(layers) - 1) / (most - 1))] for i in range(most)]
