"""RULER: the table of tasks, and how a cell's samples are drafted, measured and written down.

Rules of NVIDIA/RULER@c3f5e3b (EVALUATION.md section 3.1). Where this differs, it says so: needles
stand at other places in every sample (RULER shuffles with one fixed seed), two needles never share
a value, and a length that is too short is refused. docs/ruler.md has the whole list. RULER's own files
are read as they are.
"""

import re
from collections.abc import Iterator
from typing import Any

from stages.benchmarks import ruler_files
from stages.benchmarks.draft import Cell, Draft, Task
from stages.benchmarks.fitting import fit, fitted
from stages.benchmarks.niah import Niah
from stages.benchmarks.questions import Questions
from stages.benchmarks.tracking import Tracking
from stages.benchmarks.word_lists import CodedWords, CommonWords
from stages.common.encoder import Located, Span

SUITE = "ruler"
TASKS: dict[str, Task | Questions] = {
    "niah_single_1": Niah("noise"),
    "niah_single_2": Niah("prose"),
    "niah_single_3": Niah("prose", values="uuids"),
    "niah_multikey_1": Niah("prose", key_count=4),
    "niah_multikey_2": Niah("needles"),
    "niah_multikey_3": Niah("needles", keys="uuids", values="uuids"),
    "niah_multivalue": Niah("prose", values_per_key=4),
    "niah_multiquery": Niah("prose", key_count=4, queries=4),
    "vt": Tracking(),
    "cwe": CommonWords(),
    "fwe": CodedWords(),
    "qa_1": Questions("squad"),
    "qa_2": Questions("hotpotqa"),
}


def metric(task: str, protocol: str) -> str | None:
    """Name of a task's scorer under a protocol; none for a task that is not RULER's."""
    row = TASKS.get(task)
    if row is None:
        return None
    paper = protocol == "repo-paper" and isinstance(row, Questions)
    return "normalised_substring" if paper else row.metric


def samples(cell: Cell) -> Iterator[dict[str, Any]]:
    """All samples of a task at a length, fitted to it, with token ids."""
    scorer = metric(cell.task, cell.params.protocol)
    assert scorer is not None
    for index, draft in enumerate(_drafts(cell)):
        yield record(cell, draft, scorer, index)


def _drafts(cell: Cell) -> Iterator[Draft]:
    task, count = TASKS[cell.task], cell.params.samples_at(cell.task, cell.length)
    if cell.params.data is not None:
        yield from ruler_files.drafts(cell, count)
    elif isinstance(task, Questions):
        yield from task.drafts(cell, count)
    elif count:
        units = fit(task, cell)
        for index in range(count):
            yield fitted(task, cell, units, index)


def record(cell: Cell, draft: Draft, metric: str, index: int) -> dict[str, Any]:
    """A sample as it is stored: text, token ids, and where the answers and the question stand."""
    located = cell.encoder.locate(draft.prompt)
    begin = len(draft.head)
    end = begin + len(draft.context)
    needles = _places(draft, located)
    context, query = located.span(begin, end), located.span(end, len(draft.prompt))
    return {
        "id": f"{cell.task}-{cell.length}-{index:04}",
        "suite": SUITE,
        "task": cell.task,
        "metric": metric,
        "length": cell.length,
        "index": index,
        "input": draft.input,
        "answer_prefix": draft.prefix,
        "outputs": list(draft.answers),
        "prompt_ids": located.ids,
        "max_new_tokens": cell.budget,
        "depth": _depth(needles[0], context) if draft.ordered else None,
        "needle_span": needles,
        "query_span": [query],
        "candidates": list(draft.candidates),
        "shortcut": None if draft.shortcut is None else round(draft.shortcut, 6),
    }


def _places(draft: Draft, located: Located) -> list[Span]:
    """Token spans of every whole-word occurrence of an answer in the context, the first first."""
    # The longest first: of two aliases the regular expression takes the one that stands first.
    longest = sorted(draft.answers, key=len, reverse=True)
    whole = "|".join(re.escape(answer) for answer in longest)
    pattern = re.compile(rf"(?<![\w-])(?:{whole})(?![\w-])")
    begin = len(draft.head)
    end = begin + len(draft.context)
    matches = pattern.finditer(draft.prompt, begin, end)
    return [located.span(*match.span()) for match in matches]


def _depth(needle: Span, context: Span) -> float:
    """Where the first answer token stands: 0 at the context's first token, 1 at its last."""
    return round((needle[0] - context[0]) / max(context[1] - context[0] - 1, 1), 6)
