"""Line charts as SVG, written by hand: a hundred of them in a second, a few bytes a point.

Coordinates are whole units of ``WIDTH`` by the chart's height. Lines carry ``data-`` attributes with
the range of both axes, from which the page's script reads the value under the pointer.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from html import escape

from markupsafe import Markup

WIDTH, HEIGHT = 640, 240
SMALL = (360, 200)
"""Size of a chart that stands beside others."""
LEFT, RIGHT, TOP, BOTTOM = 62, 12, 10, 40
"""Room for the axes' numbers and names."""
Scale = Callable[[float], float]
_STEPS = (1, 2, 2.5, 5, 10)


@dataclass(frozen=True)
class Line:
    """Points (x, y) of a series; ``color`` is a CSS value, ``dash`` SVG's dash array."""

    name: str
    points: Sequence[tuple[float, float]]
    color: str
    dash: str = ""


@dataclass(frozen=True)
class Span:
    """A stretch of the x axis with a name of its own: needle, question."""

    name: str
    start: float
    end: float
    kind: str
    """Its CSS class."""


@dataclass(frozen=True)
class Axes:
    """Names of the axes, the range of each (none: that of the lines), and what stands in them."""

    x: str
    y: str
    x_range: tuple[float, float] | None = None
    y_range: tuple[float, float] | None = None
    spans: Sequence[Span] = ()
    zero: bool = False
    """Whether the line y = 0 is drawn, and within the range."""


def chart(
    lines: Sequence[Line], axes: Axes, description: str, size: tuple[int, int] = (WIDTH, HEIGHT)
) -> Markup:
    """The chart as an ``<svg>`` that says ``description`` to those who cannot see it."""
    points = [point for line in lines for point in line.points]
    x_low, x_high = axes.x_range or _reach([x for x, _ in points])
    y_low, y_high = axes.y_range or _reach([y for _, y in points] + [0.0] * axes.zero)
    width, height = size
    wide, high = width - LEFT - RIGHT, height - TOP - BOTTOM

    def across(x: float) -> float:
        return LEFT + wide * (x - x_low) / (x_high - x_low)

    def down(y: float) -> float:
        inside = min(max(y, y_low), y_high)
        return TOP + high * (1 - (inside - y_low) / (y_high - y_low))

    parts = [
        f'<rect class="{span.kind}" x="{across(span.start):.1f}" y="{TOP}" '
        f'width="{max(across(span.end) - across(span.start), 1.5):.1f}" height="{high}"/>'
        for span in axes.spans
    ]
    parts += _grid((x_low, x_high), (y_low, y_high), size, across, down)
    if axes.zero:
        parts.append(f'<path class="zero" d="M{LEFT} {down(0.0):.1f}h{wide}"/>')
    for line in lines:
        d = "".join(_path(line.points, across, down, (y_low, y_high)))
        dash = f' stroke-dasharray="{line.dash}"' if line.dash else ""
        parts.append(
            f'<path class="line" d="{d}" style="stroke: {line.color}"{dash} '
            f'data-name="{escape(line.name)}"/>'
        )
    middle = TOP + high / 2
    parts += [
        f'<text x="{LEFT + wide / 2:g}" y="{height - 4}">{escape(axes.x)}</text>',
        f'<text transform="translate(12 {middle:g}) rotate(-90)">{escape(axes.y)}</text>',
    ]
    ranges = " ".join(f"{value:.6g}" for value in (x_low, x_high, y_low, y_high))
    return Markup(
        f'<svg class="chart" viewBox="0 0 {width} {height}" role="img" data-range="{ranges}" '
        f'data-x="{escape(axes.x)}" data-y="{escape(axes.y)}" '
        f'aria-label="{escape(description)}">{"".join(parts)}</svg>'
    )


def _path(
    points: Sequence[tuple[float, float]], across: Scale, down: Scale, within: tuple[float, float]
) -> Iterator[str]:
    """A line that leaves the range is cut where it does."""
    pen = "M"
    low, high = within
    for x, y in points:
        if not low <= y <= high:
            pen = "M"
            continue
        yield f"{pen}{across(x):.1f} {down(y):.1f}"
        pen = "L"


def _grid(
    x_range: tuple[float, float], y_range: tuple[float, float], size: tuple[int, int],
    across: Scale, down: Scale,
) -> Iterator[str]:  # fmt: skip
    width, height = size
    for value in ticks(*x_range, 7 if width >= WIDTH else 4):
        x = across(value)
        yield f'<path class="grid" d="M{x:.1f} {TOP}V{height - BOTTOM}"/>'
        yield f'<text x="{x:.1f}" y="{height - BOTTOM + 15}">{short(value)}</text>'
    for value in ticks(*y_range, 5):
        y = down(value)
        yield f'<path class="grid" d="M{LEFT} {y:.1f}H{width - RIGHT}"/>'
        yield f'<text class="end" x="{LEFT - 5}" y="{y + 4:.1f}">{short(value)}</text>'


def ticks(low: float, high: float, most: int) -> list[float]:
    """Round numbers between ``low`` and ``high``, about ``most`` of them."""
    rough = (high - low) / most
    scale = 10.0 ** math.floor(math.log10(rough))
    step = scale * next(s for s in _STEPS if s * scale >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(i * step, 10) for i in range(first, last + 1)]


def short(value: float) -> str:
    """``12M``, ``1.5k``, ``−0.25``."""
    size = abs(value)
    for scale, unit in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e4, "k")):
        if size >= scale:
            divisor = 1e3 if unit == "k" else scale
            return f"{value / divisor:g}{unit}".replace("-", "−")
    return f"{value:.10g}".replace("-", "−")


def _reach(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values, default=0.0), max(values, default=1.0)
    pad = 0.04 * (high - low) or abs(high) * 0.1 or 0.5
    return low - pad, high + pad
