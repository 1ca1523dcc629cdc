"""LongBench-format tasks: rows of ``<task>.jsonl`` to prompts that fit a length.

Layout, prompts, limits and truncation of THUDM/LongBench@2e00731 (MIT; EVALUATION.md section 3.2).
A folder may bring prompts for tasks of its own in ``tasks.json``, as the generated set does.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

from stages.benchmarks.cutting import fitted
from stages.benchmarks.params import LongBenchParams
from stages.common.encoder import Encoder
from stages.common.errors import DoesNotFit, UserError
from stages.common.files import read_json
from stages.common.jsonl import objects, text, texts
from stages.common.reading import parse
from stages.common.schema import Count, Section

SUITE, SUITE_E = "longbench", "longbench_e"
SUITES = (SUITE, SUITE_E)
TASKS_E = (
    "qasper_e", "multifieldqa_en_e", "hotpotqa_e", "2wikimqa_e", "gov_report_e", "multi_news_e",
    "trec_e", "triviaqa_e", "samsum_e", "passage_count_e", "passage_retrieval_en_e", "lcc_e",
    "repobench-p_e",
)  # fmt: skip
"""LongBench-E's 13 tasks: samples of about even numbers in three buckets of words."""
_METRICS = {
    "qa_f1": "narrativeqa qasper multifieldqa_en hotpotqa 2wikimqa musique triviaqa",
    "qa_f1_zh": "multifieldqa_zh",
    "rouge_l": "gov_report qmsum multi_news samsum",
    "rouge_l_zh": "dureader vcsum",
    "classification": "trec lsht",
    "count": "passage_count",
    "retrieval": "passage_retrieval_en passage_retrieval_zh",
    "code_similarity": "lcc repobench-p",
}
"""Metric of LongBench's 21 tasks."""
FIRST_LINE = ("trec", "triviaqa", "samsum", "lsht")
"""Tasks of which LongBench scores the first line only."""
_ENDS_AT_NEWLINE = ("samsum",)
"""Tasks whose answer LongBench ends at a newline."""
_PAPER_PROMPT = (
    "Write a high-quality answer for the given query using only the provided context information."
    "\n\n## Context\n{context}\n\nQuery: {input}\nAnswer:"
)
"""The paper's tool chain has one prompt for all but its few-shot tasks (EVALUATION.md section 1)."""
_PAPER_FEW_SHOT = "{context}\n{input}"
_FEW_SHOT = ("trec", "triviaqa", "samsum", "lsht")
_PAPER_QUERY = dict.fromkeys(
    ("gov_report", "multi_news"), "Summarize the given context into a paragraph."
)
"""Queries of tasks whose rows have none."""
_PAPER_METRICS = {
    "qa_f1": "set_f1",
    "rouge_l": "rouge_l_words",
    "classification": "normalised_substring",
}
"""The paper's variants of LongBench's metrics (SakanaAI/repo ``longbench.py`` at 66234ce).

It scores no other task, so those keep LongBench's own.
"""
_PAPER_NEW_TOKENS = 32
_PAPER_SUMMARY_TOKENS = 512


@dataclass(frozen=True)
class Format:
    """How a task is asked and scored."""

    prompt: str
    max_new_tokens: int
    metric: str
    first_line: bool
    ends_at_newline: bool = False
    """Whether an answer ends at a newline behind its first word."""


class OwnTask(Section):
    """A task of ``tasks.json``, as its author writes it: a ``Format``."""

    prompt: str
    max_new_tokens: Count
    metric: str
    first_line: bool
    ends_at_newline: bool = False


def suite_of(task: str) -> str:
    """LongBench-E's tasks, which end in ``_e``, are a suite of their own."""
    return SUITE_E if task.endswith("_e") else SUITE


def metrics(protocol: str = "nvidia") -> dict[str, str]:
    """Metric of each of LongBench's tasks under a protocol."""
    variants = _PAPER_METRICS if protocol == "repo-paper" else {}
    return {
        task: variants.get(metric, metric)
        for metric, tasks in _METRICS.items()
        for task in tasks.split()
    }


class Source:
    """A folder of LongBench files, or the generated set."""

    def __init__(self, params: LongBenchParams) -> None:
        """``params.path`` names the folder; none: the generated set."""
        shipped = Path(str(files("stages.benchmarks") / "data"))
        self.folder = Path(params.path) if params.path else shipped / "generated"
        self.limit = params.samples
        self.new_tokens = params.new_tokens
        self.max_length = params.max_length
        if not self.folder.is_dir():
            raise UserError(f"benchmarks.longbench.path is {params.path!r}: no such folder")
        self._formats = _official(shipped / "longbench")
        if params.protocol == "repo-paper":
            self._formats = {task: _as_paper(task, row) for task, row in self._formats.items()}
        self.prompts = self.folder / "tasks.json"
        if self.prompts.is_file():
            self._formats |= _own(self.prompts)

    def format(self, task: str) -> Format:
        """Prompt, limit and metric of a task; ``_e`` names its part of LongBench-E."""
        found = self._formats.get(task) or self._formats.get(task.removesuffix("_e"))
        if found is None:
            raise UserError(
                f"benchmarks.longbench.tasks: {task!r} is unknown; known are "
                f"{', '.join(sorted(self._formats))}, others need {self.prompts}"
            )
        budget = self.new_tokens
        return found if budget is None else replace(found, max_new_tokens=budget)

    def file(self, task: str) -> Path:
        """The task's rows."""
        return self.folder / f"{task}.jsonl"

    def rows(self, task: str) -> Iterator[tuple[int, dict[str, Any]]]:
        """Rows of a task with their indices; one that lacks a field is named."""
        file = self.file(task)
        index = -1
        for index, (number, row) in enumerate(objects(file)):
            if self.limit is not None and index >= self.limit:
                return
            for key in ("input", "context"):
                text(file, number, row, key)
            if not texts(file, number, row, "answers"):
                raise UserError(f"{file} line {number}: no 'answers' in it")
            if self.format(task).metric == "classification":
                texts(file, number, row, "all_classes")
            yield index, row
        if index < 0:
            raise UserError(f"{file}: no rows in it")


def samples(
    source: Source, task: str, length: int, encoder: Encoder, reserved: int = 0
) -> Iterator[dict[str, Any]]:
    """All samples of a task, cut in the middle to fit ``length`` with their budget.

    ``reserved`` tokens are left for a chat template.
    """
    style = source.format(task)
    room = length - style.max_new_tokens - reserved
    if room < 2:
        raise DoesNotFit(
            f"benchmarks.lengths: {length} is too short for {task}: its answer alone takes "
            f"{style.max_new_tokens} tokens",
            task,
            length,
        )
    if source.max_length is not None and source.max_length > room:
        raise UserError(
            f"benchmarks.longbench.max_length is {source.max_length}: {task} has room for {room} "
            f"tokens of prompt at the length {length}; give less, or a longer length"
        )
    for index, row in source.rows(task):
        prompt, ids, truncated = fitted(_fill(style.prompt, row), room, encoder, source.max_length)
        # The part behind the context is what must survive: it holds the question.
        tail = _fill(style.prompt.partition("{context}")[2], row)
        kept = len(prompt) - len(tail) if prompt.endswith(tail) else 0
        candidates = row.get("candidates") or row.get("all_classes") or []
        yield {
            "id": f"{task}-{length}-{index:04}",
            "suite": suite_of(task),
            "task": task,
            "metric": style.metric,
            "first_line": style.first_line,
            "ends_at_newline": style.ends_at_newline,
            "length": length,
            "index": index,
            "input": prompt,
            "answer_prefix": "",
            "outputs": row["answers"],
            "answers": row["answers"],
            "all_classes": row.get("all_classes"),
            "words": row.get("length"),
            "prompt_ids": ids,
            "max_new_tokens": style.max_new_tokens,
            "depth": None,
            "needle_span": [],
            "query_span": [encoder.locate(prompt).span(kept, len(prompt))],
            "candidates": candidates,
            "shortcut": _shortcut(candidates, row["answers"]),
            "truncated": truncated,
        }


def _fill(prompt: str, row: dict[str, Any]) -> str:
    # One pass over the template: a brace in the context is text.
    parts = prompt.split("{context}")
    context: str = row["context"]
    return context.join(part.replace("{input}", row["input"]) for part in parts)


def _shortcut(candidates: Sequence[str], answers: Sequence[str]) -> float | None:
    """Share of the candidates that are right; none where the task names no candidates."""
    if not candidates:
        return None
    right = sum(candidate in answers for candidate in candidates)
    return round(right / len(candidates), 6)


def _own(file: Path) -> dict[str, Format]:
    """The tasks of a ``tasks.json``."""
    rows = read_json(file)
    if not isinstance(rows, dict):
        raise UserError(f"{file}: no object of tasks by their names")
    own = {task: parse(OwnTask, row, f"{file}: {task}") for task, row in rows.items()}
    return {task: Format(**row.model_dump()) for task, row in own.items()}


def _official(folder: Path) -> dict[str, Format]:
    prompts, limits = (read_json(folder / f"dataset2{name}.json") for name in ("prompt", "maxlen"))
    return {
        task: Format(
            prompts[task], limits[task], metric, task in FIRST_LINE, task in _ENDS_AT_NEWLINE
        )
        for task, metric in metrics().items()
    }


def _as_paper(task: str, official: Format) -> Format:
    prompt = _PAPER_FEW_SHOT if task in _FEW_SHOT else _PAPER_PROMPT
    summary = official.metric.startswith("rouge_l") and task != "dureader" and task not in _FEW_SHOT
    return replace(
        official,
        prompt=prompt.replace("{input}", _PAPER_QUERY.get(task, "{input}")),
        metric=metrics("repo-paper")[task],
        max_new_tokens=_PAPER_SUMMARY_TOKENS if summary else _PAPER_NEW_TOKENS,
        ends_at_newline=True,
    )
