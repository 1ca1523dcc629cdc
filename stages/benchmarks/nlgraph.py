"""NLGraph: eight graph problems in words, from the benchmark's own JSON.

Read from Arthur-Heng/NLGraph (MIT): the layout ``NLGraph/<task>/{test,train,main}.json``, one object
of number -> question, answer, difficulty; which levels a task has and how many tokens an answer may
take (``evaluation/*.py`` at 3da2b03). The question is the prompt, as in ``--prompt none``.
The paper's variant was read from SakanaAI/repo ``olmes/oe_eval/tasks/oe_eval_tasks/nlgraph.py`` at
66234ce: 512 new tokens, an end at a blank line, other scorers. Its data is a copy on the hub.
"""

import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from stages.benchmarks.asked import Asked, Place, Style, record
from stages.benchmarks.graphs import graph
from stages.benchmarks.params import NLGraphParams
from stages.common.encoder import Encoder
from stages.common.errors import UserError
from stages.common.files import read_json, sha256

SUITE = "nlgraph"
_THREE = ("easy", "medium", "hard")
_TWO = ("easy", "hard")
LEVELS = {
    "connectivity": _THREE,
    "cycle": _THREE,
    "topology": _THREE,
    "flow": _TWO,
    "GNN": _TWO,
    "hamilton": _TWO,
    "matching": _TWO,
    "shortest_path": _TWO,
}
"""The levels that a task's files have."""
_NEW_TOKENS = dict.fromkeys(LEVELS, 400) | {"connectivity": 256, "GNN": 2000}
_PAPER_NEW_TOKENS = 512
_YES_OR_NO = ("connectivity", "cycle")
_JOB = re.compile(r"job (\d+)")


def metric(task: str, protocol: str) -> str:
    """Name of a task's scorer under a protocol."""
    return f"nlgraph_{task}" + ("_paper" if protocol == "repo-paper" else "")


def style(task: str, params: NLGraphParams) -> Style:
    """Scorer, budget and end of a task's answers."""
    paper = params.protocol == "repo-paper"
    budget = _PAPER_NEW_TOKENS if paper else _NEW_TOKENS[task]
    return Style(
        metric=metric(task, params.protocol),
        max_new_tokens=params.new_tokens or budget,
        ends_at_blank_line=paper,
    )


def cells(params: NLGraphParams) -> list[str]:
    """``<task>_<level>`` of everything wanted; a level that a task does not have is left out."""
    return [
        f"{task}_{level}"
        for task in params.tasks
        for level in params.levels
        if level in LEVELS[task]
    ]


def file(params: NLGraphParams, task: str) -> Path:
    """The task's questions; raises ``UserError`` where they are missing."""
    folder = Path(params.path)
    if not folder.is_dir():
        raise UserError(f"benchmarks.nlgraph.path is {params.path!r}: no such folder")
    found = folder / task / f"{params.split}.json"
    beside = folder / f"{task}_{params.split}.json"  # as copies in one folder are named
    if not found.is_file() and not beside.is_file():
        raise UserError(
            f"benchmarks.nlgraph.path is {params.path!r}: no {task}/{params.split}.json in it; give "
            "the folder NLGraph of the repository Arthur-Heng/NLGraph"
        )
    return found if found.is_file() else beside


def files(params: NLGraphParams) -> list[Path]:
    """The questions of every wanted task."""
    return [file(params, task) for task in params.tasks]


def digests(params: NLGraphParams) -> dict[str, str]:
    """Hash of each task's questions."""
    return {task: sha256(file(params, task)) for task in params.tasks}


def samples(
    params: NLGraphParams, cell: str, length: int, encoder: Encoder, reserved: int = 0
) -> Iterator[dict[str, Any]]:
    """The questions of a task and level, at most ``length`` tokens with their budget."""
    how = style(cell.rpartition("_")[0], params)
    for index, asked in enumerate(wanted(params, cell)):
        yield record(Place(SUITE, cell, length, reserved), index, asked, how, encoder)


def wanted(params: NLGraphParams, cell: str) -> Iterator[Asked]:
    """The questions of a task and level; raises ``UserError`` at the first that cannot be read."""
    task, _, level = cell.rpartition("_")
    source = file(params, task)
    rows = ((where, row) for where, row in _rows(source) if row["difficulty"] == level)
    found = False
    for where, row in islice(rows, params.samples):
        found = True
        yield _asked(task, where, row, params.protocol)
    if not found:
        raise UserError(f"{source}: no question of difficulty {level!r} in it")


def _rows(source: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """Questions with the words that name their place."""
    content = read_json(source)
    if not isinstance(content, dict):
        raise UserError(f"{source}: not an object of questions, as NLGraph's JSON is")
    for number, row in content.items():
        where = f"{source} question {number!r}"
        for key in ("question", "answer", "difficulty"):
            if not isinstance(row, dict) or not isinstance(row.get(key), str):
                raise UserError(f"{where}: no text {key!r} in it")
        yield where, row


def _asked(task: str, where: str, row: dict[str, str], protocol: str) -> Asked:
    question, answer = row["question"], row["answer"]
    try:
        found = graph(task, question)
    except ValueError as error:
        raise UserError(f"{where}: {error} in it, as {task} has") from None
    if task == "matching" and protocol != "repo-paper":
        # The file counts jobs from the number of applicants, the question from 0: only this
        # project's references use the question's numbers. The paper's tools compare with the file.
        answer = _JOB.sub(lambda job: f"job {int(job[1]) - found.nodes}", answer)
    return Asked(
        prompt=question,
        question=question[question.rfind("\nQ: ") + 1 :],
        answers=(answer,),
        shortcut=0.5 if task in _YES_OR_NO else None,
        more={"question": question},
    )
