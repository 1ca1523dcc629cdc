"""The report's figures of scores over length, and how every variant is drawn."""

from collections.abc import Iterable
from typing import Any, NamedTuple

from markupsafe import Markup

from stages.report.formats import label, suites, task_name
from stages.report.svg import FAINT, OTHERS, SERIES, drawing, inline

MARKERS = {"rope": "o", "nope": "s", "r2n1": "^", "n2r1": "v", "repo": "D"}
DASHES = {"rope": "-", "nope": ":", "r2n1": "--", "n2r1": "-.", "repo": "-"}
OTHER_MARKERS, OTHER_DASHES = "PX*pdh", ("--", "-.", ":", "-")


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

    key: str
    """The variant, or the input."""
    name: str
    color: str
    dash: str


def legend(names: Iterable[str]) -> list[Series]:
    """Legend in HTML of the variants, one for a group of panels; dashes as SVG writes them."""
    dashes = {"-": "", ":": "2 2", "--": "6 3", "-.": "6 2 1 2"}
    return [
        Series(name, label(name), f"var(--{look.series})", dashes[look.dash])
        for name, look in looks(names).items()
    ]


def probe_legend(names: Iterable[str]) -> list[Series]:
    """Legend in HTML of the inputs whose positions are drawn."""
    return [Series(name, name, f"var(--{name})", "") for name in names if name in SERIES]


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
