"""RULER's question answering (``qa_1``: SQuAD, ``qa_2``: HotpotQA) among other documents.

NVIDIA sizes all samples by the first question and then takes ten documents from those that came out
too long; here every question gets as many whole documents as fit, so the prompts are fuller.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Literal

from stages.benchmarks.documents import Documents, Question, load
from stages.benchmarks.draft import Cell, Draft, styled
from stages.benchmarks.fitting import too_short
from stages.benchmarks.templates import DOCUMENT, QUESTIONS
from stages.common.errors import DoesNotFit, UserError


@dataclass(frozen=True)
class Questions:
    """A row of the table of tasks: one collection of questions."""

    kind: Literal["squad", "hotpotqa"]
    metric: str = "string_match_part"

    def documents(self, cell: Cell) -> Documents:
        """The collection that the cell's settings name."""
        return load(self.kind, getattr(cell.params, self.kind))

    def drafts(self, cell: Cell, count: int) -> Iterator[Draft]:
        """The first ``count`` questions of the collection, each among as many documents as fit."""
        found = self.documents(cell)
        if count > len(found.questions):
            raise UserError(
                f"benchmarks.ruler.samples is {count}, but {self.kind} "
                f"({getattr(cell.params, self.kind)}) has {len(found.questions)} questions for "
                f"{cell.task}; lower it or give a larger file"
            )
        sizes: dict[int, int] = {}
        for index, question in enumerate(found.questions[:count]):
            yield _fitted(cell, found, question, cell.rng(index), sizes)


def least_draft(cell: Cell, found: Documents) -> Draft:
    """The longest of the smallest prompts that the wanted questions have."""
    count = cell.params.samples_at(cell.task, cell.length)
    rng = cell.rng("least")
    drafts = (_draft(cell, found, one, one.gold, rng) for one in found.questions[:count])
    return max(drafts, key=lambda draft: len(draft.prompt))


def _fitted(
    cell: Cell, found: Documents, question: Question, rng: Random, sizes: dict[int, int]
) -> Draft:
    """The question with its gold documents and others while they fit, in random order."""
    least = _draft(cell, found, question, question.gold, rng)
    tokens = cell.encoder.count(least.prompt)
    if tokens > cell.room:
        raise too_short(cell, tokens + cell.budget)
    chosen = list(question.gold)
    others = _others(cell, found, question, rng)
    for index in others:
        if index not in sizes:
            text = DOCUMENT.format(i=len(chosen), document=found.texts[index]) + "\n\n"
            sizes[index] = cell.encoder.count(text)
        tokens += sizes[index]
        if tokens > cell.room:
            break
        chosen.append(index)
    else:
        raise DoesNotFit(
            f"benchmarks.lengths: {cell.length} is too long for {cell.task}: {found.name} has only "
            f"{len(found.texts)} documents; give a larger file (ruler.{found.name})",
            cell.task,
            cell.length,
        )
    while len(chosen) > len(question.gold):
        draft = _draft(cell, found, question, chosen, rng)
        if cell.encoder.count(draft.prompt) <= cell.room:
            return draft
        chosen.pop()
    return least


def _others(cell: Cell, found: Documents, question: Question, rng: Random) -> Iterator[int]:
    """Other documents in the order they are taken: the near ones, then any."""
    own = {*question.gold, *question.near}
    yield from rng.sample(question.near, len(question.near))
    # A document with its heading takes 8 tokens at the least: more would never be looked at.
    count = min(len(found.texts), cell.room // 8 + len(own))
    yield from (index for index in rng.sample(range(len(found.texts)), count) if index not in own)


def _draft(
    cell: Cell,
    found: Documents,
    question: Question,
    chosen: tuple[int, ...] | list[int],
    rng: Random,
) -> Draft:
    order = rng.sample(list(chosen), len(chosen))
    head, tail = QUESTIONS.prompt.split("{context}")
    draft = Draft(
        head=head,
        context="\n\n".join(
            DOCUMENT.format(i=number, document=found.texts[index])
            for number, index in enumerate(order, start=1)
        ),
        tail=tail.replace("{query}", question.text),
        prefix=QUESTIONS.prefix,
        answers=question.answers,
        candidates=(),
    )
    return styled(cell, draft)
