"""What the report is made of: results, analysis and loss curve of every variant and seed."""

import csv
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stages.benchmarks import ruler
from stages.common import paths
from stages.common.errors import UserError
from stages.common.files import read_json


@dataclass(frozen=True)
class Point:
    """A point of a loss curve: the mean over the steps since the last."""

    step: int
    tokens: int
    loss: float
    seen: dict[str, float] = field(default_factory=dict)
    """What else was seen there, by column (``stages.training.eyes``); figures that are finite."""


@dataclass(frozen=True)
class Item:
    """Everything measured of one trained model."""

    variant: str
    seed: int
    results: dict[str, Any]
    analysis: dict[str, Any]
    curve: list[Point]


def read_items(variants: Sequence[str], seeds: Sequence[int]) -> list[Item]:
    """All items, the variants in the params' order; a missing one is named with its stage.

    Raises ``UserError`` also where two items were measured on other samples or windows.
    """
    items = [_read(variant, seed) for variant in variants for seed in seeds]
    for item in items[1:]:
        if _measured(item) != _measured(items[0]):
            raise UserError(
                f"{_metrics(item.variant, item.seed)}: other samples than "
                f"{_metrics(items[0].variant, items[0].seed)}; run the stage evaluate for both"
            )
    return items


def _metrics(variant: str, seed: int) -> Path:
    return paths.results(f"{variant}-{seed}") / "metrics.json"


def _read(variant: str, seed: int) -> Item:
    name = f"{variant}-{seed}"
    results = _metrics(variant, seed)
    curve = paths.curve(name)
    analysis = paths.ANALYSIS / name / "analysis.json"
    for file, stage in ((results, "evaluate"), (curve, "train"), (analysis, "analyze")):
        if not file.is_file():
            raise UserError(f"{file}: no such file; run the stage {stage}@{name}")
    if "base" not in read_json(results):
        raise UserError(f"{results}: made by an earlier version; run the stage evaluate@{name}")
    found = read_json(results)
    for cells in (found["cells"], found["base"]["cells"]):
        if ruler.SUITE in cells:
            cells[ruler.SUITE] = _in_order(cells[ruler.SUITE])
    return Item(variant, seed, found, read_json(analysis), read_curve(curve))


def _in_order(tasks: dict[str, Any]) -> dict[str, Any]:
    """RULER's tasks as its authors list them; JSON has them by name."""
    known = {task: place for place, task in enumerate(ruler.TASKS)}
    return dict(sorted(tasks.items(), key=lambda entry: (known.get(entry[0], 99), entry[0])))


def read_curve(file: Path) -> list[Point]:
    """A loss curve as training leaves it: CSV with at least step, tokens and loss.

    Without a point where nothing was trained: the model was taken from elsewhere (``train.from``).
    """
    with file.open(encoding="utf-8", newline="") as lines:
        reader = csv.DictReader(lines)
        rows, columns = list(reader), reader.fieldnames
    try:
        curve = [
            Point(int(row["step"]), int(row["tokens"]), float(row["loss"]), dict(_seen(row)))
            for row in rows
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{file}: not a loss curve of step,tokens,loss ({error})") from None
    if not columns:
        raise UserError(f"{file}: an empty file and no loss curve; run the stage train")
    return curve


def _seen(row: dict[str, str]) -> Iterator[tuple[str, float]]:
    """The other columns; the list of ringing alarms is none, what was not looked at is empty."""
    for name, text in row.items():
        if name in ("step", "tokens", "loss", "lr", "ringing") or not text:
            continue
        if math.isfinite(value := float(text)):
            yield name, value


def _measured(item: Item) -> dict[tuple[str, str, str], tuple[int, float | None]]:
    """What must be equal for scores to be comparable: the cells, their samples and shortcuts."""
    return {
        (suite, task, length): (cell["n"], cell["shortcut"])
        for suite, tasks in item.results["cells"].items()
        for task, lengths in tasks.items()
        for length, cell in lengths.items()
    }
