"""Suites that installed packages bring: entry points of the group ``repo_pipeline.suites``.

Under the suite's name stands a module or an object with

- ``TASKS``: names of the tasks;
- ``NEW_TOKENS``: the budget of an answer, or a mapping of one for each task;
- ``files(path)``: the files that are read for ``--data path``;
- ``questions(path, task)``: mappings with ``prompt`` and ``answers`` (texts), and whatever else
  ``score`` needs (JSON); ``question``, the end of the prompt that a cut must leave, and ``shortcut``,
  what naming any one candidate scores, may be left out;
- ``score(prediction, question)``: 0 to 1, of such a mapping without its prompt.

The code that asks and scores is among the files that samples are known by: another version of the
package makes them anew.
"""

import inspect
import json
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from stages.benchmarks.asked import Asked, Place, Style, record
from stages.benchmarks.params import TAKEN, OutsideParams
from stages.benchmarks.suite import Suite
from stages.common.encoder import Encoder
from stages.common.errors import UserError
from stages.common.files import sha256

GROUP = "repo_pipeline.suites"
METRIC = "outside:"
"""Before the suite's name: the metric of its samples."""
_NEEDED = ("TASKS", "NEW_TOKENS", "files", "questions", "score")
_ROWS = 100
_NOT_FOR_SCORE = ("prompt", "question", "shortcut")


def names() -> list[str]:
    """Of the suites that installed packages bring."""
    return sorted(_points())


def suite(name: str) -> Suite:
    """The suite of an installed package; ``UserError`` where there is none of that name."""
    found = _loaded(name)
    return Suite(
        params=OutsideParams,
        kinds=tuple(found.TASKS),
        data=f"{name}'s files",
        rows=_ROWS,
        tasks=lambda params: params.tasks or tuple(found.TASKS),
        samples=lambda params, task, length, encoder, reserved=0: _samples(
            name, params, Place(name, task, length, reserved), encoder
        ),
        files=lambda params: _files(name, params),
        digest=lambda params: {file.name: sha256(file) for file in _files(name, params)},
        look=lambda params: [
            next(iter(_questions(name, params, task)), None)
            for task in params.tasks or tuple(found.TASKS)
        ],
    )


def score(metric: str, asked: Mapping[str, Any], prediction: str) -> float:
    """Score of a prediction by the suite that the sample's metric names."""
    name = metric.removeprefix(METRIC)
    value = _called(name, lambda: _loaded(name).score(prediction, dict(asked)))
    if isinstance(value, bool):
        value = float(value)
    if not isinstance(value, int | float) or not 0 <= value <= 1:
        raise UserError(f"suite {name}: its score is {value!r}, no number from 0 to 1")
    return float(value)


def _points() -> dict[str, EntryPoint]:
    """By name; a suite of this project's name is not taken for it."""
    found = {point.name: point for point in entry_points(group=GROUP)}
    return {name: point for name, point in found.items() if name not in TAKEN}


@cache
def _loaded(name: str) -> Any:
    point = _points().get(name)
    if point is None:
        known = ", ".join(names()) or "none"
        raise UserError(
            f"benchmarks.outside.{name}: no installed package brings this suite (entry point group "
            f"{GROUP}); known are {known}"
        )
    found = _called(name, point.load)
    if missing := [one for one in _NEEDED if not hasattr(found, one)]:
        raise UserError(f"suite {name}: {point.value} has no {missing[0]}; install another version")
    return found


def _called(name: str, function: Callable[[], Any]) -> Any:
    """What a package's code gives; what it raises is one line."""
    try:
        return function()
    except (UserError, MemoryError):
        raise
    except Exception as error:
        said = (str(error).strip() or "no more").splitlines()[0]
        raise UserError(f"suite {name}: {type(error).__name__}: {said[:200]}") from None


def _files(name: str, params: OutsideParams) -> list[Path]:
    """The data, and the code that asks and scores."""
    found = _loaded(name)
    data = [Path(file) for file in _called(name, lambda: list(found.files(Path(params.path))))]
    if gone := [file for file in data if not file.is_file()]:
        raise UserError(
            f"benchmarks.outside.{name}.path is {params.path!r}: no {gone[0].name} in it"
        )
    code = inspect.getsourcefile(found if inspect.ismodule(found) else type(found))
    return [*data, *([Path(code)] if code else [])]


def _questions(name: str, params: OutsideParams, task: str) -> Iterator[dict[str, Any]]:
    """The wanted questions of a task; ``UserError`` at the first that cannot be asked."""
    found = _loaded(name)
    if task not in found.TASKS:
        raise UserError(
            f"benchmarks.outside.{name}.tasks has {task!r}; known are {', '.join(found.TASKS)}"
        )
    rows = iter(_called(name, lambda: found.questions(Path(params.path), task)))
    end = object()
    for number in range(1, 1 + (params.samples or 10**9)):
        row = _called(name, lambda: next(rows, end))
        if row is end:
            break
        yield _checked(row, f"suite {name}, {task}, question {number}")
    else:
        return
    if number == 1:
        raise UserError(f"suite {name}, {task}: no questions in {params.path!r}")


def _checked(row: Any, where: str) -> dict[str, Any]:
    answers = row.get("answers") if isinstance(row, Mapping) else None
    texts = isinstance(answers, list | tuple) and all(isinstance(text, str) for text in answers)
    if not texts or not answers or not isinstance(row.get("prompt"), str):
        raise UserError(f"{where}: it needs a text 'prompt' and a list 'answers' of texts")
    try:
        json.dumps(dict(row), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise UserError(f"{where}: no JSON ({error})") from None
    return dict(row)


def _samples(
    name: str, params: OutsideParams, place: Place, encoder: Encoder
) -> Iterator[dict[str, Any]]:
    budgets = _loaded(name).NEW_TOKENS
    budget = budgets[place.task] if isinstance(budgets, Mapping) else budgets
    how = Style(metric=f"{METRIC}{name}", max_new_tokens=params.new_tokens or int(budget))
    for index, row in enumerate(_questions(name, params, place.task)):
        kept = {key: value for key, value in row.items() if key not in _NOT_FOR_SCORE}
        asked = Asked(
            row["prompt"],
            row.get("question", ""),
            row["answers"],
            row.get("shortcut"),
            {"asked": kept},
        )
        yield record(place, index, asked, how, encoder)
