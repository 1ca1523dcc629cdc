"""Matplotlib figures as inline SVG that follows the page's colours and is the same bytes each time.

Matplotlib knows no CSS: it draws with stand-in colours, which are replaced in the SVG by
``currentColor`` and by the page's variables. Text stays text, set in the page's font.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from io import StringIO

import matplotlib
from markupsafe import Markup
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

INK, FAINT = "#010101", "#010102"
OTHERS = ("other1", "other2", "other3", "other4", "other5", "other6")
"""Colours of variants that are no preset, in the order in which the params name them."""
SERIES = {
    "rope": "#010103",
    "nope": "#010104",
    "r2n1": "#010105",
    "n2r1": "#010106",
    "repo": "#010107",
    "structured": "#010108",
    "noisy": "#010109",
    **{name: f"#01010{digit}" for name, digit in zip(OTHERS, "abcdef", strict=True)},
}
_CSS = {INK: "currentColor", FAINT: "var(--faint)"} | {
    color: f"var(--{name})" for name, color in SERIES.items()
}
_STYLE = {
    "svg.fonttype": "none",
    # The layout is measured in DejaVu Sans, which comes with matplotlib: the same everywhere.
    "font.family": "DejaVu Sans",
    "font.size": 8.0,
    "axes.titlesize": 8.5,
    "axes.labelsize": 8.0,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.edgecolor": FAINT,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "grid.color": FAINT,
    "grid.alpha": 0.35,
    "grid.linewidth": 0.5,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.unicode_minus": True,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "lines.linewidth": 1.4,
    "lines.markersize": 4.0,
    "path.simplify": False,
}


@contextmanager
def drawing(name: str, width: float, height: float) -> Iterator[Figure]:
    """Yield an empty figure (inches) in the page's style; ``name`` makes its ids its own."""
    with matplotlib.rc_context({**_STYLE, "svg.hashsalt": name}):
        yield Figure(figsize=(width, height), layout="constrained")


def inline(figure: Figure, name: str, description: str) -> Markup:
    """The figure as an ``<svg>`` element that says ``description`` to those who cannot see it.

    Call it inside ``drawing``: the style is read when the figure is drawn.
    """
    out = StringIO()
    nothing = {"Date": None, "Creator": None, "Format": None, "Type": None}
    FigureCanvasSVG(figure).print_svg(out, metadata=nothing)
    svg = out.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<!--.*?-->\s*", "", svg, flags=re.DOTALL)
    svg = _ids(svg.replace("xlink:href", "href"), name)
    size = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg)
    assert size is not None
    head = (
        f'<svg viewBox="0 0 {size[1]} {size[2]}" role="img" aria-label="{escape(description)}" '
        f'style="max-width: {float(size[1]) * 4 / 3 * 1.25:.0f}px">'
    )
    svg = head + svg[svg.index(">") + 1 :]
    svg = re.sub(r"font: ([\d.]+)px [^;\"]*", r"font-size: \1px", svg)
    # Text has no colour of its own where it is black to matplotlib: the page's colour.
    for stand_in, color in _CSS.items():
        svg = svg.replace(stand_in, color)
    return Markup(re.sub(r"\s*\n\s*", "\n", svg).strip())


def _ids(svg: str, name: str) -> str:
    """Drop ids that nothing refers to and put ``name`` before the others: unique in the page."""
    used = set(re.findall(r'(?:url\(#|href="#)([^)"]+)', svg))
    svg = re.sub(r' id="([^"]+)"', lambda m: f' id="{name}-{m[1]}"' if m[1] in used else "", svg)
    return re.sub(r'(url\(#|href="#)', rf"\g<1>{name}-", svg)
