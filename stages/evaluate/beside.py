"""The base beside its child: the base's figures in every cell, and the paired difference."""

from pathlib import Path
from typing import Any

from stages.common.errors import UserError
from stages.common.files import read_json, read_jsonl
from stages.evaluate import perplexity
from stages.evaluate.comparison import paired_records
from stages.evaluate.records import window_records


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
    for file in sorted(samples.glob("*.jsonl")):
        ours, other = list(read_jsonl(file)), base / "samples" / file.name
        try:
            found = paired_records(ours, list(read_jsonl(other)))
        except ValueError:
            raise UserError(f"{other}: other samples; run the stage evaluate_base again") from None
        suite, task, length = (ours[0][name] for name in ("suite", "task", "length"))
        theirs["cells"][suite][task][str(length)]["difference"] = {
            "n": found.n,
            "value": found.value,
            "low": round(found.low, 6),
            "high": round(found.high, 6),
            "verdict": found.verdict,
        }
    differences = perplexity.differences(window_records(samples), window_records(base / "samples"))
    for source, cells in theirs["validation"].items():
        for length, entry in cells.items():
            entry["difference"] = differences.get(source, {}).get(length)
    wanted = ("model", "trained", "extension", "cells", "suites", "validation")
    return {name: theirs[name] for name in wanted}
