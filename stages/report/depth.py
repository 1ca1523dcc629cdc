"""Score by depth of the needle and length: where in the context a model finds what it is asked for.

Depth is in the samples' records: 0 where the context begins, 1 where it ends; of tasks whose first
answer has one place.
"""

from collections import defaultdict
from collections.abc import Mapping
from statistics import fmean
from typing import Any

from stages.report.compared import Records
from stages.report.formats import each_cell, label, signed, task_name

BINS = 5
"""Parts of the context; a fifth holds about 20 of 100 samples."""


def depths(records: Mapping[str, Records], focus: str, reference: str) -> dict[str, Any]:
    """Suite -> task -> length -> a row for each part: samples, scores by variant, difference."""
    found: dict[str, Any] = {}
    for suite, task, length in next(iter(records.values())).depths if records else ():
        cell = (suite, task, length)
        places = next(iter(records.values())).depths[cell]
        rows = []
        for part in range(BINS):
            ids = [i for i, depth in places.items() if min(int(depth * BINS), BINS - 1) == part]
            scores = {
                variant: round(100 * fmean(run[i] for run in of.scores[cell] for i in ids), 6)
                for variant, of in records.items()
                if ids
            }
            both = focus != reference and {focus, reference} <= set(scores)
            change = round(scores[focus] - scores[reference], 6) if both else None
            rows.append({"n": len(ids), "scores": scores, "difference": change})
        found.setdefault(suite, {}).setdefault(task, {})[length] = rows
    return found


def maps(metrics: Mapping[str, Any]) -> list[dict[str, Any]]:
    """For the page: a task's maps, the focus, the reference and their difference first."""
    focus, reference = metrics["focus"], metrics["reference"]
    order = [focus, *([reference] if reference in metrics["scores"] else ())]
    order = list(dict.fromkeys([*order, *metrics["scores"]]))
    by_task: dict[tuple[str, str], dict[str, Any]] = defaultdict(dict)
    for suite, task, length, rows in each_cell(metrics["depths"]):
        by_task[suite, task][length] = rows
    return [
        {
            "name": task_name(suite, task),
            "scored": any(
                s for rows in lengths.values() for r in rows for s in r["scores"].values()
            ),
            "maps": [_map(label(variant), lengths, variant) for variant in order],
            "change": _change(metrics, lengths),
        }
        for (suite, task), lengths in by_task.items()
    ]


def columns() -> list[str]:
    """``0-20`` to ``80-100``, percent of the context."""
    return [f"{100 * i // BINS}–{100 * (i + 1) // BINS}" for i in range(BINS)]


def _map(name: str, lengths: Mapping[str, Any], variant: str) -> dict[str, Any]:
    rows = []
    for length, parts in lengths.items():
        cells = []
        for part in parts:
            value = part["scores"].get(variant)
            text = "–" if value is None else f"{value:.0f}"
            cells.append({"text": text, "share": round(value or 0.0), "n": part["n"], "kind": ""})
        rows.append((length, cells))
    return {"name": name, "rows": rows}


def _change(metrics: Mapping[str, Any], lengths: Mapping[str, Any]) -> dict[str, Any] | None:
    if all(part["difference"] is None for parts in lengths.values() for part in parts):
        return None
    rows = []
    for length, parts in lengths.items():
        cells = []
        for part in parts:
            value = part["difference"]
            kind = "" if not value else "up" if value > 0 else "down"
            text = "–" if value is None else signed(value, 0) if round(value) else "0"
            share = min(100, round(2 * abs(value or 0.0)))
            cells.append({"text": text, "share": share, "n": part["n"], "kind": kind})
        rows.append((length, cells))
    name = f"{label(metrics['focus'])} − {label(metrics['reference'])}"
    return {"name": name, "rows": rows}
