"""Training: the loss of every variant, its distance from the reference, and what was seen beside it."""

from collections import defaultdict
from collections.abc import Sequence
from statistics import fmean

from markupsafe import Markup

from stages.report import chart
from stages.report.figures import legend
from stages.report.formats import label
from stages.report.inputs import Item

HELD_OUT = "held_out."


def losses(items: Sequence[Item]) -> Markup | None:
    """Training loss over tokens, a line per variant and seed; none where nothing was trained."""
    items = [item for item in items if item.curve]
    if not items:
        return None
    looks = {entry.key: entry for entry in legend([item.variant for item in items])}
    lines = [
        chart.Line(
            f"{label(item.variant)}, seed {item.seed}",
            [(point.tokens, point.loss) for point in item.curve],
            looks[item.variant].color,
            looks[item.variant].dash,
        )
        for item in items
    ]
    names = ", ".join(label(name) for name in looks)
    return chart.chart(
        lines, chart.Axes("tokens", "nats per token"), f"Training loss over tokens for {names}"
    )


def differences(items: Sequence[Item], reference: str) -> Markup | None:
    """Loss minus the reference's at the same steps, mean over seeds, the mean of nearby points.

    All variants see the same data in the same order: what makes a step easy for both cancels out.
    None without a second variant or where the steps differ.
    """
    looks = {entry.key: entry for entry in legend([item.variant for item in items])}
    means = {variant: _mean(items, variant) for variant in looks}
    if reference not in means:
        return None
    base = means.pop(reference)
    lines = []
    for variant, curve in means.items():
        common = [tokens for tokens in curve if tokens in base]
        points = smooth([(float(tokens), curve[tokens] - base[tokens]) for tokens in common])
        if points:
            lines.append(
                chart.Line(label(variant), points, looks[variant].color, looks[variant].dash)
            )
    if not lines:
        return None
    text = f"Training loss minus {label(reference)}'s over tokens"
    return chart.chart(
        lines, chart.Axes("tokens", f"nats, minus {label(reference)}", zero=True), text
    )


def looks(items: Sequence[Item]) -> list[tuple[str, Markup]]:
    """A panel for each figure that trainings looked at: title and chart, the base's value dotted.

    Held-out loss by source, the probe, the gradient's norm, std(z); none for what nobody looked at.
    """
    columns = {name for item in items for point in item.curve for name in point.seen}
    held_out = sorted(name for name in columns if name.startswith(HELD_OUT))
    panels = [(f"Held-out loss, {name.removeprefix(HELD_OUT)}", name, "nats") for name in held_out]
    panels += [
        ("Probe: prompts that are answered", "probe", "share"),
        ("Gradient norm, before clipping", "gradient_norm", "norm"),
        ("Positions: std(z), mean over layers", "z.std", "tokens"),
    ]
    return [
        (title, _look(items, column, unit, title))
        for title, column, unit in panels
        if column in columns
    ]


def _look(items: Sequence[Item], column: str, unit: str, title: str) -> Markup:
    entries = {entry.key: entry for entry in legend([item.variant for item in items])}
    lines = []
    before: list[tuple[float, float]] = []
    for item in items:
        points = [(float(p.tokens), p.seen[column]) for p in item.curve if column in p.seen]
        before = before or [
            (float(p.tokens), p.seen[f"base.{column}"])
            for p in item.curve
            if f"base.{column}" in p.seen
        ]
        entry = entries[item.variant]
        if points:
            name = f"{label(item.variant)}, seed {item.seed}"
            lines.append(chart.Line(name, points, entry.color, entry.dash))
    if before:
        lines.append(chart.Line("the base", before, "var(--faint)", "1 3"))
    return chart.chart(lines, chart.Axes("tokens", unit), f"{title}, over tokens", chart.SMALL)


def smooth(points: Sequence[tuple[float, float]], reach: int = 2) -> list[tuple[float, float]]:
    """Each value the mean of up to ``reach`` neighbours to either side and itself."""
    return [
        (x, fmean(y for _, y in points[max(0, i - reach) : i + reach + 1]))
        for i, (x, _) in enumerate(points)
    ]


def _mean(items: Sequence[Item], variant: str) -> dict[int, float]:
    """Loss by tokens, mean over the seeds that have the point."""
    found: dict[int, list[float]] = defaultdict(list)
    for item in items:
        if item.variant == variant:
            for point in item.curve:
                found[point.tokens].append(point.loss)
    return {tokens: fmean(losses) for tokens, losses in found.items()}
