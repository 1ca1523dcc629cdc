"""What an evaluation of one model found: cells, means over lengths, and a record a sample."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stages.benchmarks import longbench, official
from stages.benchmarks.longbench_v2 import GROUPS
from stages.common.encoder import Encoder
from stages.common.errors import UserError
from stages.common.files import read_json, read_jsonl, write_json, write_jsonl
from stages.evaluate.buckets import BUCKETS, bucket
from stages.evaluate.comparison import summary
from stages.evaluate.made import is_official
from stages.evaluate.parts import Part, records
from stages.evaluate.shards import Shard
from stages.evaluate.statistics import cell, mean
from stages.evaluate.version import VERSION

Cells = dict[str, dict[str, dict[str, Any]]]
"""Task -> length -> figures."""


@dataclass(frozen=True)
class Measured:
    """``metrics`` as they are written; ``records`` by task and length."""

    metrics: dict[str, Any]
    records: dict[tuple[str, int], list[dict[str, Any]]]

    @property
    def cells(self) -> Cells:
        """Figures by task and length."""
        return dict(self.metrics["cells"])

    def samples(self, task: str, length: int) -> str | None:
        """Hash of a cell's samples; none where there is no such cell."""
        found = self.metrics["samples"].get(f"{task}-{length}")
        return None if found is None else str(found)


def measure(
    parts: Sequence[Part],
    results: Mapping[Shard, list[Any]],
    encoder: Encoder,
    identity: dict[str, Any],
) -> Measured:
    """Score the results of all parts; ``identity`` says of what, and by which settings."""
    cells: Cells = {}
    found: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for part in parts:
        rows = [
            record | {"seconds": seconds} for record, seconds in records(part, results, encoder)
        ]
        found[part.task, part.length] = rows
        lengths = cells.setdefault(part.task, {})
        lengths[str(part.length)] = cell(rows, part.budget, part.yarn_factor, part.metric)
    metrics = {
        "version": VERSION,
        **identity,
        "cells": cells,
        **summary(cells, official.TASKS if is_official(identity) else ()),
        "buckets": {
            task if len(cells[task]) == 1 else f"{task}, {length} tokens": by
            for (task, length), rows in found.items()
            if (by := _buckets(rows))
        },
    }
    return Measured(metrics, found)


def _buckets(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """LongBench-E: mean score by the words of the context; LongBench v2: as its script has it."""
    if all("groups" in row for row in rows):
        by = {name: [row["score"] for row in rows if name in row["groups"]] for name in GROUPS}
        return {name: round(100 * mean(scores), 1) for name, scores in by.items() if scores}
    if not all(row["suite"] == longbench.SUITE_E and "words" in row for row in rows):
        return {}
    found = {}
    for name in BUCKETS:
        scores = [row["score"] for row in rows if bucket(row["words"]) == name]
        if scores:
            found[name] = round(100 * mean(scores), 2)
    return found


def write(folder: Path, outcome: Measured) -> None:
    """Write ``metrics.json`` and ``samples/<task>-<length>.jsonl``."""
    for (task, length), rows in outcome.records.items():
        write_jsonl(folder / "samples" / f"{task}-{length}.jsonl", rows)
    write_json(folder / "metrics.json", outcome.metrics)


def read(folder: Path) -> Measured:
    """What ``write`` wrote; another version is refused."""
    if not (folder / "metrics.json").is_file():
        raise UserError(
            f"--against is {str(folder)!r}: no metrics.json in it; give what an earlier --out left"
        )
    metrics = read_json(folder / "metrics.json")
    if not isinstance(metrics, dict) or "cells" not in metrics:
        raise UserError(
            f"--against is {str(folder)!r}: its metrics.json has no cells of tasks; give what an "
            "earlier --out of such a suite left"
        )
    if metrics.get("version") != VERSION:
        raise UserError(
            f"{folder}/metrics.json: version {metrics.get('version')}, this is {VERSION}; evaluate "
            "that model again"
        )
    found = {
        (task, int(length)): list(read_jsonl(folder / "samples" / f"{task}-{length}.jsonl"))
        for task, lengths in metrics["cells"].items()
        for length in lengths
    }
    return Measured(metrics, found)
