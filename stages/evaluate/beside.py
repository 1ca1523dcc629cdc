"""The base beside its child: the base's figures in every cell, and the paired difference."""

from pathlib import Path
from typing import Any

from stages.common.errors import UserError
from stages.common.files import read_json, read_jsonl
from stages.evaluate import perplexity
from stages.evaluate.records import window_records
from stages.evaluate.significance import Cell, Runs, compare


def beside(samples: Path, base: Path) -> dict[str, Any]:
    """The base's figures, as ``everything`` gives them, with ``difference`` in each cell.

    ``samples`` holds the child's records, ``base`` the out of ``evaluate_base``. A difference is the
    child's figure minus the base's, over the same samples or windows: of scores with a 95 % interval,
    of losses with its standard error.
    """
    theirs = read_json(base / "metrics.json")
    for tasks in theirs["cells"].values():
        for lengths in tasks.values():
            for cell in lengths.values():
                cell["difference"] = None
    ours: dict[Cell, Runs] = {}
    others: dict[Cell, Runs] = {}
    for file in sorted(samples.glob("*.jsonl")):
        rows, other = list(read_jsonl(file)), list(read_jsonl(base / "samples" / file.name))
        if {row["id"] for row in rows} != {row["id"] for row in other}:
            raise UserError(
                f"{base / 'samples' / file.name}: other samples; run the stage evaluate_base again"
            )
        cell = (rows[0]["suite"], rows[0]["task"], str(rows[0]["length"]))
        ours[cell] = [{row["id"]: row["score"] for row in rows}]
        others[cell] = [{row["id"]: row["score"] for row in other}]
    for (suite, task, length), found in compare(ours, others).cells.items():
        theirs["cells"][suite][task][length]["difference"] = found.as_dict()
    differences = perplexity.differences(window_records(samples), window_records(base / "samples"))
    for source, cells in theirs["validation"].items():
        for length, entry in cells.items():
            entry["difference"] = differences.get(source, {}).get(length)
    wanted = ("model", "trained", "extension", "cells", "suites", "validation")
    return {name: theirs[name] for name in wanted}
