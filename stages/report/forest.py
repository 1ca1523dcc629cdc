"""Paired differences to the reference as a forest plot: a table whose rows hold their own drawing.

The drawings have coordinates in percent and no text: at any width the words beside them keep their
size. Sorted: as trained first, then by length; the mean over tasks, then the tasks from best to worst.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from stages.evaluate.significance import BETTER, WORSE
from stages.report import formats
from stages.report.formats import between, label, listing, signed, suites

CLASSES = {BETTER: "better", WORSE: "worse"}
MARKS = {BETTER: "●", WORSE: "○"}
_STEPS = (1, 2, 5, 10, 20, 30, 50, 75, 100)


@dataclass(frozen=True)
class Line:
    """A difference with its interval."""

    name: str
    drawing: Markup
    value: str
    interval: str
    verdict: str
    n: int
    mean: bool

    @property
    def mark(self) -> str:
        """A filled circle is better, a hollow one worse."""
        return MARKS.get(self.verdict, "")


@dataclass(frozen=True)
class Block:
    """The differences of one suite at one length."""

    name: str
    lines: Sequence[Line]


@dataclass(frozen=True)
class Forest:
    """A variant's differences; ``folded`` names the cells in which no variant scores."""

    variant: str
    title: str
    blocks: Sequence[Block]
    axis: Markup
    reach: int
    folded: str
    folded_count: int
    cells: int


def nobody(scores: Mapping[str, Any], suite: str, task: str, length: str) -> bool:
    """Whether every variant scores 0 in a cell: a difference of 0 there says nothing."""
    return all(cells[suite][task][length]["score"] == 0.0 for cells in scores.values())


def folded(metrics: Mapping[str, Any], variant: str) -> list[tuple[str, str, str]]:
    """Cells of a comparison in which no variant scores."""
    cells = metrics["comparisons"][variant]["cells"]
    return [
        (suite, task, length)
        for suite in suites(cells)
        for task, lengths in cells[suite].items()
        for length in sorted(lengths, key=int)
        if nobody(metrics["scores"], suite, task, length)
    ]


def names(cells: Sequence[tuple[str, str, str]]) -> str:
    """``fwe (256, 512) and qa_1 (1024)``."""
    lengths: dict[str, list[str]] = {}
    for suite, task, length in cells:
        lengths.setdefault(formats.task_name(suite, task), []).append(length)
    return listing(f"{task} ({', '.join(found)})" for task, found in lengths.items())


def forests(metrics: Mapping[str, Any]) -> list[Forest]:
    """The focus first, then the other variants; without the reference and what has no samples."""
    order = sorted(metrics["comparisons"], key=lambda name: name != metrics["focus"])
    return [_forest(metrics, name) for name in order if metrics["comparisons"][name]["cells"]]


def _forest(metrics: Mapping[str, Any], variant: str) -> Forest:
    compared = metrics["comparisons"][variant]
    hidden = folded(metrics, variant)
    places = sorted(
        {
            (suite, length)
            for suite, tasks in compared["cells"].items()
            for lengths in tasks.values()
            for length in lengths
        },
        key=lambda place: (suites(compared["cells"]).index(place[0]), int(place[1])),
    )
    found = {place: _rows(compared, *place, hidden) for place in places}
    reach = _reach([row for rows in found.values() for _, row, _ in rows])
    factors = metrics["readings"][variant]["factors"]
    blocks = []
    for (suite, length), rows in found.items():
        if not rows:
            continue
        factor = factors.get(length, 1.0)
        way = f", YaRN x{factor:g}" if factor != 1.0 else ""
        title = f"{formats.suite_name(suite)}, {int(length):,} tokens{way}"
        blocks.append(Block(title, [_line(name, row, mean, reach) for name, row, mean in rows]))
    return Forest(
        variant,
        f"{label(variant)} − {label(metrics['reference'])}",
        blocks,
        _axis(reach),
        reach,
        names(hidden),
        len(hidden),
        sum(len(lengths) for tasks in compared["cells"].values() for lengths in tasks.values()),
    )


def _rows(
    compared: Mapping[str, Any], suite: str, length: str, hidden: Sequence[tuple[str, str, str]]
) -> list[tuple[str, Mapping[str, Any], bool]]:
    tasks = [
        (task, lengths[length], False)
        for task, lengths in compared["cells"][suite].items()
        if length in lengths and (suite, task, length) not in hidden
    ]
    if not tasks:
        return []
    tasks.sort(key=lambda row: (-row[1]["value"], row[0]))
    mean = compared["means"].get(suite, {}).get(length)
    if mean is None or mean["tasks"] < 2:
        return tasks
    return [(f"mean, {mean['tasks']} tasks", mean, True), *tasks]


def _reach(rows: Sequence[Mapping[str, Any]]) -> int:
    """Points from the middle to either end: the least round number that holds every interval."""
    ends = [
        abs(row[key]) for row in rows for key in ("value", "low", "high") if row[key] is not None
    ]
    most = min(100.0, max(ends, default=1.0))
    return next(step for step in _STEPS if step >= most)


def _line(name: str, found: Mapping[str, Any], mean: bool, reach: int) -> Line:
    low, high = found["low"], found["high"]
    known = low is not None and high is not None
    return Line(
        name,
        _drawing(found, mean, reach),
        signed(found["value"]),
        between(found["value"], low, high).partition(" ")[2] if known else "",
        found["verdict"],
        found["n"],
        mean,
    )


def _place(value: float, reach: int) -> str:
    """In percent of the width; 3 % at each side stay free for the marks."""
    inside = max(-reach, min(reach, value))
    return f"{50 + 47 * inside / reach:.2f}%"


def _drawing(found: Mapping[str, Any], mean: bool, reach: int) -> Markup:
    kind = CLASSES.get(found["verdict"], "open")
    middle = _place(found["value"], reach)
    parts = ['<line class="zero" x1="50%" x2="50%" y1="0" y2="20"/>']
    if found["low"] is not None and found["high"] is not None:
        low, high = _place(found["low"], reach), _place(found["high"], reach)
        parts.append(f'<line class="reach" x1="{low}" x2="{high}" y1="10" y2="10"/>')
    if mean:
        path = '<path d="M-6 0L0 -6L6 0L0 6Z"/>'
        place = f'x="{middle}" y="10" overflow="visible" aria-hidden="true"'
        parts.append(f"<svg {place}>{path}</svg>")
    else:
        parts.append(f'<circle cx="{middle}" cy="10" r="4"/>')
    return Markup(f'<svg class="{kind}" height="20" aria-hidden="true">{"".join(parts)}</svg>')


def _axis(reach: int) -> Markup:
    marks = "".join(
        f'<text x="{_place(value, reach)}" y="12">{signed(value, 0) if value else "0"}</text>'
        for value in (-reach, 0, reach)
    )
    return Markup(f'<svg class="axis" height="16" aria-hidden="true">{marks}</svg>')
