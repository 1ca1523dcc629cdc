"""Files of predictions in the official layouts, and the official scores of a whole file.

RULER (NVIDIA/RULER@c3f5e3b ``scripts/eval/evaluate.py``): rows with ``outputs`` and ``pred``.
LongBench (THUDM/LongBench@2e00731 ``eval.py``): rows with ``answers``, ``all_classes`` and
``pred``; with ``length``, LongBench-E's three buckets as well.
This project's own records (``prediction``, ``metric``): by the metric that they name.
LongBench v2 (``result.py``): rows with ``response`` and ``answer``, by difficulty and size.
HybridQA (task ``tables``): RULER's rows. NLGraph: RULER's rows with one output, and the question as
``question``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from stages.benchmarks import hybridqa, longbench, longbench_v2, nlgraph, ruler
from stages.common.errors import UserError
from stages.common.jsonl import objects, text, texts
from stages.evaluate.buckets import BUCKETS, bucket
from stages.evaluate.scorers import choice, score

Row = tuple[Path, int, dict[str, Any]]
"""A prediction with its file and line."""


@dataclass(frozen=True)
class FileScore:
    """Official score of a file of predictions, 0 to 100, two decimals."""

    task: str
    n: int
    score: float
    empty: int
    """Predictions with nothing but white space."""
    buckets: Mapping[str, float | None] | None = None
    """LongBench-E's scores by length, LongBench v2's by difficulty and size; none for an empty one,
    where the official one is NaN or fails."""
    length: int | None = None
    """Of our own records, tokens."""


def score_file(file: Path, task: str | None = None, protocol: str = "nvidia") -> FileScore:
    """Score the predictions in ``file`` as the task's official script does.

    ``task`` may be left out for our own records, which name it.
    """
    return score_rows([(file, number, row) for number, row in objects(file)], task, protocol, file)


def score_rows(rows: Sequence[Row], task: str | None, protocol: str, place: Path) -> FileScore:
    """Score rows of one task, from one file or several; ``place`` names them where there is none."""
    if not rows:
        raise UserError(f"{place}: no predictions in it")
    if all("prediction" in row and "metric" in row for _, _, row in rows):
        return _own(rows, task)
    if all("response" in row and "choice_A" in row for _, _, row in rows):
        return _choices(rows, task or longbench_v2.TASK)
    if task is None:
        raise UserError(f"--task is missing: {place} does not name its task; give --task")
    official = _metric(task, protocol)
    if official is not None:
        values = [_ruler(file, number, row, official) for file, number, row in rows]
        return _result(task, rows, round(sum(values) / len(values) * 100, 2))
    name, metric = _longbench_task(task, protocol)
    # The official script scores every row with the classes of the last one.
    classes = rows[-1][2].get("all_classes")
    if metric == "classification":
        classes = texts(*rows[-1], "all_classes")
    values, lengths = [], []
    for file, number, row in rows:
        sample = {
            "metric": metric,
            "first_line": name in longbench.FIRST_LINE,
            "outputs": texts(file, number, row, "answers"),
            "all_classes": classes,
        }
        values.append(_scored(file, number, row, sample))
        lengths.append(row.get("length"))
    return _result(task, rows, _mean(values), _buckets(values, lengths))


def _choices(rows: Sequence[Row], task: str) -> FileScore:
    """LongBench v2's file: one decimal, as its script rounds."""
    values: list[tuple[float, list[str]]] = []
    for file, number, row in rows:
        response, answer = (text(file, number, row, name) for name in ("response", "answer"))
        groups = [text(file, number, row, name) for name in ("difficulty", "length")]
        values.append((choice(response, [answer]), groups))
    found = {
        group: [value for value, groups in values if group in groups]
        for group in longbench_v2.GROUPS
    }
    means = {name: round(100 * sum(v) / len(v), 1) if v else None for name, v in found.items()}
    total = round(100 * sum(value for value, _ in values) / len(values), 1)
    renamed = [(file, number, {"pred": row["response"]}) for file, number, row in rows]
    return _result(task, renamed, total, means)


def is_known(task: str) -> bool:
    """Whether a task has an official scorer."""
    if _metric(task, "nvidia") is not None:
        return True
    return task.removesuffix("_e") in longbench.metrics()


def _own(rows: Sequence[Row], task: str | None) -> FileScore:
    """This project's records: each names its metric and what the metric needs."""
    names = {text(file, number, row, "task") for file, number, row in rows}
    if len(names) > 1 or (task is not None and {task} != names):
        raise UserError(
            f"--task is {task!r}, but {rows[0][0]} has records of {', '.join(sorted(names))}; leave "
            "it out, and give one task a file"
        )
    lengths = sorted({str(row.get("length")) for _, _, row in rows})
    if len(lengths) > 1:
        raise UserError(
            f"{rows[0][0]} has records of lengths {', '.join(lengths)}, whose scores are two numbers; "
            "give one length a file"
        )
    values = []
    for file, number, row in rows:
        text(file, number, row, "prediction")
        metric = text(file, number, row, "metric")
        sample = {**row, "outputs": texts(file, number, row, "outputs")}
        try:
            values.append(_scored(file, number, {"pred": row["prediction"]}, sample))
        except (LookupError, TypeError, ValueError, ZeroDivisionError) as error:
            raise UserError(
                f"{file} line {number}: no whole record of ours: {metric!r} cannot be computed from "
                f"it ({type(error).__name__}: {error})"
            ) from None
    words = [row.get("words") for _, _, row in rows]
    in_buckets = rows[0][2].get("suite") == longbench.SUITE_E
    renamed = [(f, n, {"pred": row["prediction"]}) for f, n, row in rows]
    found = _result(
        names.pop(), renamed, _mean(values), _buckets(values, words) if in_buckets else None
    )
    return replace(found, length=rows[0][2].get("length"))


def _ruler(file: Path, number: int, row: dict[str, Any], metric: str) -> float:
    if "outputs" not in row and "output" in row:
        row = {**row, "outputs": [row["output"]]}  # an older layout that NVIDIA still reads
    references = texts(file, number, row, "outputs")
    if not references:
        raise UserError(f"{file} line {number}: 'outputs' is empty; a reference is needed")
    sample: dict[str, Any] = {"metric": metric, "outputs": references}
    if metric == "qa_f1":
        sample["first_line"] = True
    if metric.startswith("nlgraph_"):
        if len(references) != 1 or not isinstance(row.get("question"), str):
            raise UserError(f"{file} line {number}: NLGraph needs 'question' and one output")
        sample["question"] = row["question"]
    return _scored(file, number, row, sample)


def _scored(file: Path, number: int, row: dict[str, Any], sample: Mapping[str, Any]) -> float:
    prediction = text(file, number, row, "pred")
    try:
        return score(sample, prediction)
    except UserError as error:
        raise UserError(f"{file} line {number}: {error}") from None


def _mean(values: Sequence[float]) -> float:
    """Percent. Added one by one, as LongBench does: ``sum`` rounds better from Python 3.12 on."""
    total = 0.0
    for value in values:
        total += value
    return round(100 * total / len(values), 2)


def _metric(task: str, protocol: str) -> str | None:
    """Scorer of a task whose rows are in RULER's layout; none for LongBench's."""
    if task == hybridqa.TASK:
        return hybridqa.metric(protocol)
    name = task.removesuffix("_easy").removesuffix("_medium").removesuffix("_hard")
    if name in nlgraph.LEVELS:
        return nlgraph.metric(name, protocol)
    return ruler.metric(task, protocol)


def _longbench_task(task: str, protocol: str) -> tuple[str, str]:
    """Name and metric of a LongBench task; ``_e`` names its LongBench-E part."""
    name = task.removesuffix("_e")
    metrics = longbench.metrics(protocol)
    if name not in metrics:
        known = ", ".join([*ruler.TASKS, *sorted(metrics), *nlgraph.LEVELS, hybridqa.TASK])
        raise UserError(f"--task is {task!r}: unknown; known are {known}")
    return name, metrics[name]


def _buckets(values: Sequence[float], lengths: Sequence[Any]) -> dict[str, float | None] | None:
    if not all(isinstance(length, int | float) for length in lengths):
        return None
    found: dict[str, float | None] = {}
    for name in BUCKETS:
        pairs = zip(values, lengths, strict=True)
        inside = [value for value, length in pairs if bucket(length) == name]
        # The official script rounds NumPy's number, which is done another way than Python's own.
        found[name] = float(round(100 * np.mean(inside), 2)) if inside else None
    return found


def _result(
    task: str,
    rows: Sequence[Row],
    total: float,
    buckets: Mapping[str, float | None] | None = None,
) -> FileScore:
    empty = sum(not row["pred"].strip() for _, _, row in rows)
    return FileScore(task, len(rows), total, empty, buckets)
