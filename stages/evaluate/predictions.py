"""Files of predictions in the official layouts, and the official scores of a whole file.

RULER (NVIDIA/RULER@c3f5e3b ``scripts/eval/evaluate.py``): rows with ``outputs`` and ``pred``.
LongBench (THUDM/LongBench@2e00731 ``eval.py``): rows with ``answers``, ``all_classes`` and
``pred``; with ``length``, LongBench-E's three buckets as well.
HybridQA (task ``tables``): RULER's rows. NLGraph: RULER's rows with one output, and the question as
``question``.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from stages.benchmarks import hybridqa, longbench, nlgraph, ruler
from stages.common.errors import UserError
from stages.evaluate.buckets import BUCKETS, bucket
from stages.evaluate.scorers import score


@dataclass(frozen=True)
class FileScore:
    """Official score of a file of predictions, 0 to 100, two decimals."""

    task: str
    n: int
    score: float
    empty: int
    """Predictions with nothing but white space."""
    buckets: Mapping[str, float | None] | None = None
    """LongBench-E's scores by length; none for an empty bucket, where the official one is NaN."""


def score_file(file: Path, task: str, protocol: str = "nvidia") -> FileScore:
    """Score the predictions in ``file`` as the task's official script does."""
    rows = list(_rows(file))
    if not rows:
        raise UserError(f"{file}: no predictions in it")
    official = _metric(task, protocol)
    if official is not None:
        values = [_ruler(file, number, row, official) for number, row in rows]
        return _result(task, rows, round(sum(values) / len(values) * 100, 2))
    name, metric, first_line = _longbench_task(task)
    # The official script scores every row with the classes of the last one.
    classes = rows[-1][1].get("all_classes")
    if metric == "classification" and not isinstance(classes, list):
        raise UserError(f"{file} line {rows[-1][0]}: no list 'all_classes', which {name} needs")
    values, lengths = [], []
    for number, row in rows:
        sample = {
            "metric": metric,
            "first_line": first_line,
            "outputs": _texts(file, number, row, "answers"),
            "all_classes": classes,
        }
        values.append(score(sample, _prediction(file, number, row)))
        lengths.append(row.get("length"))
    total = round(100 * sum(values) / len(values), 2)
    return _result(task, rows, total, _buckets(values, lengths))


def _ruler(file: Path, number: int, row: Mapping[str, Any], metric: str) -> float:
    if "outputs" not in row and "output" in row:
        row = {**row, "outputs": [row["output"]]}  # an older layout that NVIDIA still reads
    references = _texts(file, number, row, "outputs")
    if not references:
        raise UserError(f"{file} line {number}: 'outputs' is empty; a reference is needed")
    sample: dict[str, Any] = {"metric": metric, "outputs": references}
    if metric == "qa_f1":
        sample["first_line"] = True
    if metric.startswith("nlgraph_"):
        if len(references) != 1 or not isinstance(row.get("question"), str):
            raise UserError(f"{file} line {number}: NLGraph needs 'question' and one output")
        sample["question"] = row["question"]
    return score(sample, _prediction(file, number, row))


def _metric(task: str, protocol: str) -> str | None:
    """Scorer of a task whose rows are in RULER's layout; none for LongBench's."""
    if task == hybridqa.TASK:
        return hybridqa.metric(protocol)
    name = task.removesuffix("_easy").removesuffix("_medium").removesuffix("_hard")
    if name in nlgraph.LEVELS:
        return nlgraph.metric(name, protocol)
    return ruler.metric(task, protocol)


def _longbench_task(task: str) -> tuple[str, str, bool]:
    """Name, metric and first-line rule of a LongBench task; ``_e`` names its LongBench-E part."""
    name = task.removesuffix("_e")
    metrics = longbench.metrics()
    if name not in metrics:
        known = ", ".join([*ruler.TASKS, *sorted(metrics), *nlgraph.LEVELS, hybridqa.TASK])
        raise UserError(f"--task is {task!r}: unknown; known are {known}")
    return name, metrics[name], name in longbench.FIRST_LINE


def _rows(file: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Rows with their line numbers, from 1."""
    try:
        lines = file.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise UserError(f"{file}: {reason}; give a JSONL file of predictions") from None
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise UserError(f"{file} line {number}: not JSON ({error.msg})") from None
        if not isinstance(row, dict):
            raise UserError(f"{file} line {number}: not a JSON object")
        yield number, row


def _prediction(file: Path, number: int, row: Mapping[str, Any]) -> str:
    if not isinstance(row.get("pred"), str):
        raise UserError(f"{file} line {number}: no text 'pred' in it")
    return str(row["pred"])


def _texts(file: Path, number: int, row: Mapping[str, Any], key: str) -> list[str]:
    values = row.get(key)
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise UserError(f"{file} line {number}: no list of texts {key!r} in it")
    return values


def _buckets(values: Sequence[float], lengths: Sequence[Any]) -> dict[str, float | None] | None:
    if not all(isinstance(length, int | float) for length in lengths):
        return None
    found: dict[str, float | None] = {}
    for name in BUCKETS:
        pairs = zip(values, lengths, strict=True)
        inside = [value for value, length in pairs if bucket(length) == name]
        found[name] = round(100 * float(np.mean(inside)), 2) if inside else None
    return found


def _result(
    task: str,
    rows: Sequence[tuple[int, Mapping[str, Any]]],
    total: float,
    buckets: Mapping[str, float | None] | None = None,
) -> FileScore:
    empty = sum(not row["pred"].strip() for _, row in rows)
    return FileScore(task, len(rows), total, empty, buckets)
