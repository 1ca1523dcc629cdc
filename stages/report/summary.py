"""Results for a terminal: the page's answer and its differences, in the page's words.

``python -m stages.report.summary`` prints the last report's; with ``--all`` every score and loss.
"""

import signal
import sys
import textwrap
from collections.abc import Iterator
from typing import Any

from stages.common import paths
from stages.common.files import read_json
from stages.report import forest, verdict
from stages.report.formats import NONE, each_cell, label, labelled, plus_minus

WIDTH = 100
_NAME, _LENGTH, _SHORTCUT, _BASE = 16, 7, 9, 7
_LEAST = 13
"""Columns of ``100.0 ± 12.3*``."""


def lines(metrics: dict[str, Any]) -> list[str]:
    """The answer, then the differences of each length: the mean, and the marked cells by name."""
    found: list[str] = []
    if metrics["verdict"]:
        for line in verdict.lines(metrics["verdict"]):
            indent = " " * (len(line) - len(line.lstrip()))
            found += textwrap.wrap(line, WIDTH, subsequent_indent=indent) or [""]
    for one in forest.forests(metrics):
        found += ["", f"{one.title}, points of 100 [95 %]; verdicts: 5 % for the whole table"]
        found += _differences(one, whole=one.variant == metrics["focus"])
    if not found:
        found += ["One variant alone: there is nothing to compare it with."]
    return [*found, "", "every score, loss and cell: python -m stages.report.summary --all"]


def _differences(one: forest.Forest, whole: bool) -> Iterator[str]:
    """A line for each mean; for the focus also the cells that are marked, and how many are not."""
    for block in one.blocks:
        for line in block.lines:
            if line.mean or (len(block.lines) == 1 and (line.mark or not whole)):
                yield _difference(f"{block.name}: {line.name}", line)
            elif line.mark and whole:
                yield _difference(f"    {line.name}", line)
        unmarked = sum(not line.mean and not line.mark for line in block.lines)
        if unmarked and whole:
            yield f"      not marked: {unmarked} task{'s' if unmarked != 1 else ''}"
    if one.folded_count:
        yield f"  no variant scores in {one.folded_count} of {one.cells} cells"


def _difference(name: str, line: forest.Line) -> str:
    return f"  {name:<52} {line.value:>6} {line.interval:<16} {line.verdict}".rstrip()


def table(metrics: dict[str, Any]) -> list[str]:
    """Scores per task and length and losses per text, at most ``WIDTH`` columns wide.

    The base's scores stand beside them where there is room: up to four variants.
    """
    variants = metrics["variants"]
    room = WIDTH - _NAME - _LENGTH - _SHORTCUT
    base_width = _BASE if room - _BASE >= _LEAST * len(variants) else 0
    width = min(16, (room - base_width) // len(variants))

    def row(name: str, length: str, beside: str, base: str, cells: list[str]) -> str:
        head = f"{name[: _NAME - 1]:<{_NAME}}{length:>{_LENGTH}}{beside:>{_SHORTCUT}}"
        head += f"{base:>{base_width}}" if base_width else ""
        return head + "".join(f"{cell:>{width}}" for cell in cells)

    found = [row("score, %", "length", "guess", "base", [label(variant) for variant in variants])]
    for suite, task, length, first in each_cell(metrics["scores"][variants[0]]):
        cells = []
        for variant in variants:
            cell = metrics["scores"][variant][suite][task][length]
            mark = "*" if cell["above_shortcut"] else " "
            cells.append(plus_minus(cell["score"], cell["stderr"], 1) + mark)
        shortcut = NONE if first["shortcut"] is None else f"{first['shortcut']:.1f}"
        base = metrics["base"]["scores"].get(suite, {}).get(task, {}).get(length)
        beside = NONE if base is None else f"{base['score']:.1f}"
        found.append(row(task, length, shortcut, beside, cells))
    if metrics["validation"]:
        found += ["", row("loss, nats", "length", "base", "", [""] * len(variants)).rstrip()]
        sources = metrics["validation"][variants[0]]
        for source, lengths in sources.items():
            for length in sorted(lengths, key=int):
                entries = [metrics["validation"][name][source][length] for name in variants]
                base = metrics["base"]["validation"].get(source, {}).get(length)
                beside = NONE if base is None else f"{base['loss']:.3f}"
                cells = [f"{entry['loss']:.3f} " for entry in entries]
                found.append(row(source, length, beside, "", cells))
    found += [
        "",
        "* above the random-guess baseline: naming any one candidate value (5 % for the table)",
    ]
    reference = label(metrics["reference"])
    for variant, comparison in metrics["comparisons"].items():
        if comparison["lines"]:
            head = f"{label(variant)} minus {reference} [95 %], paired by sample"
            found += ["", f"{head}; verdicts: 5 % for the whole table", *comparison["lines"]]
    return found


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `| head -1`: an end without a trace
    measured = read_json(paths.FIGURES)
    with labelled(measured.get("labels", {})):
        whole = "--all" in sys.argv[1:] or "verdict" not in measured  # an earlier version's
        print("\n".join((table if whole else lines)(measured)))
