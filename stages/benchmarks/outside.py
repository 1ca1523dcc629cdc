"""Suites that installed packages bring: entry points of the group ``repo_pipeline.suites``.

Under the suite's name stands a module or an object with

- ``TASKS``: names of the tasks;
- ``NEW_TOKENS``: the budget of an answer, or a mapping of one for each task;
- ``files(path)``: the files that are read for ``--data path``;
- ``questions(path, task)``: mappings with ``prompt`` and ``answers`` (texts), and whatever else
  ``score`` needs (JSON); ``question``, the end of the prompt that a cut must leave, and ``shortcut``,
  what naming any one candidate scores, may be left out;
- ``score(prediction, question)``: 0 to 1, of such a mapping without its prompt.

The code of the package is among the files that samples are known by: another version of it makes
them anew.
"""

import inspect
import json
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
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
from stages.common.schema import SOURCE_NAME

GROUP = "repo_pipeline.suites"
METRIC = "outside:"
"""Before the suite's name: the metric of its samples."""
_NEEDED = ("TASKS", "NEW_TOKENS", "files", "questions", "score")
_TASK = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$"
_NOT_FOR_SCORE = ("prompt", "question", "shortcut")


def names() -> list[str]:
    """Of the suites that installed packages bring."""
    return sorted(_points())


def suite(name: str) -> Suite:
    """The suite of an installed package; ``UserError`` where there is none of that name."""
    known = _loaded(name).tasks
    return Suite(
        params=OutsideParams,
        kinds=known,
        data=f"{name}'s files",
        tasks=lambda params: params.tasks or known,
        samples=lambda params, task, length, encoder, reserved=0: _samples(
            name, params, Place(name, task, length, reserved), encoder
        ),
        files=lambda params: list(_files(name, params)),
        digest=lambda params: {key: sha256(f) for f, key in _files(name, params).items()},
        look=lambda params: [
            next(iter(_questions(name, params, task)), None) for task in params.tasks or known
        ],
    )


def score(metric: str, asked: Mapping[str, Any], prediction: str) -> float:
    """Score of a prediction by the suite that the sample's metric names."""
    name = metric.removeprefix(METRIC)
    value = _called(name, lambda: _loaded(name).code.score(prediction, dict(asked)))
    if isinstance(value, bool):
        value = float(value)
    if not isinstance(value, int | float) or not 0 <= value <= 1:
        raise UserError(f"suite {name}: its score is {value!r}, no number from 0 to 1")
    return float(value)


@dataclass(frozen=True)
class _Loaded:
    """A suite's code, its contract checked."""

    code: Any
    tasks: tuple[str, ...]
    budgets: Mapping[str, int]
    files: Mapping[Path, str]
    """Of the package that it is in, with their names."""


def _points() -> dict[str, EntryPoint]:
    """By name; a suite of this project's name is not taken for it, nor one whose name is no file's."""
    found = {point.name: point for point in entry_points(group=GROUP)}
    return {n: point for n, point in found.items() if n not in TAKEN and re.match(SOURCE_NAME, n)}


@cache
def _loaded(name: str) -> _Loaded:
    point = _points().get(name)
    if point is None:
        known = ", ".join(names()) or "none"
        raise UserError(
            f"benchmarks.outside.{name}: no installed package brings this suite (entry point group "
            f"{GROUP}); known are {known}"
        )
    code = _called(name, point.load)
    if missing := [one for one in _NEEDED if not hasattr(code, one)]:
        raise UserError(f"suite {name}: {point.value} has no {missing[0]}; install another version")
    tasks, budgets = code.TASKS, code.NEW_TOKENS
    good = isinstance(tasks, list | tuple) and all(isinstance(one, str) for one in tasks)
    if not good or not tasks or not all(re.match(_TASK, task) for task in tasks):
        raise UserError(
            f"suite {name}: TASKS is {tasks!r}, no list of names (letters, digits, _, - and full stops)"
        )
    each = budgets if isinstance(budgets, Mapping) else dict.fromkeys(tasks, budgets)
    for task in tasks:
        if type(each.get(task)) is not int or each[task] < 1:
            raise UserError(
                f"suite {name}: NEW_TOKENS is {each.get(task)!r} for {task}, no whole number from 1 up"
            )
    return _Loaded(code, tuple(tasks), dict(each), _sources(code))


def _sources(code: Any) -> dict[Path, str]:
    """Files of Python of the package: the questions may stand in one, the score in another."""
    module = sys.modules.get(code.__name__ if inspect.ismodule(code) else code.__module__)
    file = getattr(module, "__file__", None)
    if module is None or file is None:
        return {}
    package = sys.modules.get(module.__name__.partition(".")[0])
    folders = [Path(folder) for folder in getattr(package, "__path__", ())]
    found = {
        f: f"code/{f.relative_to(folder.parent).as_posix()}"
        for folder in folders
        for f in sorted(folder.rglob("*.py"))
    }
    return found or {Path(file): f"code/{Path(file).name}"}


def _called(name: str, function: Callable[[], Any]) -> Any:
    """What a package's code gives; what it raises is one line."""
    try:
        return function()
    except (UserError, MemoryError):
        raise
    except (Exception, SystemExit) as error:
        said = (str(error).strip() or "no more").splitlines()[0]
        raise UserError(f"suite {name}: {type(error).__name__}: {said[:200]}") from None


def _files(name: str, params: OutsideParams) -> dict[Path, str]:
    """The data, and the code that asks and scores, with a name for each."""
    found, root = _loaded(name), Path(params.path)
    data = [Path(f) for f in _called(name, lambda: [Path(f) for f in found.code.files(root)])]
    if gone := [file for file in data if not file.is_file()]:
        raise UserError(
            f"benchmarks.outside.{name}.path is {params.path!r}: no {gone[0].name} in it"
        )
    names = {file: Path(os.path.relpath(file, root)).as_posix() for file in data}
    return {**names, **found.files}


def _questions(name: str, params: OutsideParams, task: str) -> Iterator[dict[str, Any]]:
    """The wanted questions of a task; ``UserError`` at the first that cannot be asked."""
    found = _loaded(name)
    if task not in found.tasks:
        raise UserError(
            f"benchmarks.outside.{name}.tasks has {task!r}; known are {', '.join(found.tasks)}"
        )
    rows = _called(name, lambda: iter(found.code.questions(Path(params.path), task)))
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
    if not isinstance(row.get("question", ""), str):
        raise UserError(f"{where}: question is {row['question']!r}, no text")
    shortcut = row.get("shortcut")
    if shortcut is not None and not (type(shortcut) in (int, float) and 0 <= shortcut <= 1):
        raise UserError(f"{where}: shortcut is {shortcut!r}, no number from 0 to 1")
    try:
        json.dumps(dict(row), allow_nan=False, ensure_ascii=False).encode()
    except (TypeError, ValueError) as error:
        raise UserError(f"{where}: no JSON in UTF-8 ({error})") from None
    return dict(row)


def _samples(
    name: str, params: OutsideParams, place: Place, encoder: Encoder
) -> Iterator[dict[str, Any]]:
    budget = params.new_tokens or _loaded(name).budgets.get(place.task, 1)
    how = Style(metric=f"{METRIC}{name}", max_new_tokens=budget)
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
