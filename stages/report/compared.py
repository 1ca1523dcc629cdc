"""The one rule of significance over the report's records: variants, and scores against shortcuts."""

import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean
from typing import Any, NamedTuple

from stages.common import paths
from stages.common.files import read_jsonl
from stages.evaluate import perplexity, significance, verdicts
from stages.evaluate.records import window_records
from stages.evaluate.significance import BETTER, TOO_FEW, Cell, Comparison, Runs
from stages.report.formats import label
from stages.report.inputs import Item


def focus_of(variants: Sequence[str], reference: str) -> str:
    """The variant whose difference to the reference has a column: RePo, else the last that is named.

    Alone, the reference itself: nothing is compared.
    """
    others = [name for name in variants if name != reference]
    return "repo" if "repo" in others else others[-1] if others else reference


class Records(NamedTuple):
    """Of one variant: scores and, where a cell has them, shortcuts, by cell, seed and sample."""

    scores: dict[Cell, Runs]
    shortcuts: dict[Cell, Runs]
    depths: dict[Cell, dict[str, float]]
    """Place of the needle, 0 to 1, of the tasks that have one."""


def read(items: Sequence[Item]) -> dict[str, Records]:
    """Every variant's records; a variant without any is left out."""
    found: dict[str, Records] = {}
    for variant in dict.fromkeys(item.variant for item in items):
        scores: dict[Cell, list[dict[str, float]]] = defaultdict(list)
        shortcuts: dict[Cell, list[dict[str, float]]] = defaultdict(list)
        depths: dict[Cell, dict[str, float]] = {}
        for item in items:
            if item.variant == variant:
                _add(f"{item.variant}-{item.seed}", scores, shortcuts, depths)
        if scores:
            found[variant] = Records({**scores}, {**shortcuts}, depths)
    return found


def _add(
    item: str,
    scores: dict[Cell, list[dict[str, float]]],
    shortcuts: dict[Cell, list[dict[str, float]]],
    depths: dict[Cell, dict[str, float]],
) -> None:
    for file in sorted((paths.results(item) / "samples").glob("*.jsonl")):
        rows = list(read_jsonl(file))
        cell = (rows[0]["suite"], rows[0]["task"], str(rows[0]["length"]))
        scores[cell].append({sys.intern(row["id"]): row["score"] for row in rows})
        places = {row["id"]: row["depth"] for row in rows if row.get("depth") is not None}
        if len(places) == len(rows):
            depths[cell] = places
        known = {row["id"]: row["shortcut"] for row in rows if row.get("shortcut") is not None}
        if len(known) == len(rows):
            shortcuts[cell].append(known)


def compare(records: Mapping[str, Records], one: str, other: str) -> Comparison:
    """``one`` against ``other``; empty where a variant was not measured."""
    if one not in records or other not in records:
        return Comparison()
    return significance.compare(records[one].scores, records[other].scores)


def above(records: Records) -> dict[Cell, bool | None]:
    """Whether a score is above its shortcut, corrected over the variant's table (none: too few).

    A shortcut of 1 cannot be passed, so such a cell is no part of the table.
    """
    passable = {
        cell: runs
        for cell, runs in records.shortcuts.items()
        if any(value < 1.0 for run in runs for value in run.values())
    }
    cells = significance.compare(records.scores, passable).cells
    return {
        cell: None if found.mark == TOO_FEW else found.mark == BETTER
        for cell, found in cells.items()
    }


def as_metrics(found: Comparison, one: str, other: str) -> dict[str, Any]:
    """Figures, and what they say in words and lines for every page and terminal."""
    return {
        **found.as_dict(),
        "said": list(verdicts.sentences(found, label(one), label(other))),
        "lines": list(verdicts.lines(found)),
    }


def losses(items: Sequence[Item], first: str, second: str) -> dict[str, Any]:
    """Source -> length -> validation loss of ``first`` minus ``second``'s, window by window.

    A window's loss is its mean over the seeds; ``noise`` is the standard error over windows, not over
    training runs. Empty where a variant or the records are missing.
    """
    one, other = (_window_losses(items, variant) for variant in (first, second))
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


def sentences(metrics: dict[str, Any]) -> Iterator[str]:
    """What each variant's comparison with the reference says; nothing where there is none."""
    for found in metrics["comparisons"].values():
        yield from found["said"]
