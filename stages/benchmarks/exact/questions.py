"""``qa_1`` and ``qa_2`` as RULER's ``qa.py`` draws them."""

from collections.abc import Iterator
from typing import Any

from stages.benchmarks.documents import Question, load
from stages.benchmarks.exact.calls import Calls, Prompt, fitted, row, size
from stages.benchmarks.templates import DOCUMENT, QUESTIONS
from stages.common.errors import UserError

_STEP = 10


def rows(calls: Calls, kind: str) -> Iterator[dict[str, Any]]:
    """The rows of ``squad`` or ``hotpotqa``: its first questions, all sized by the first."""
    found = load(kind, calls.sources[kind])
    if calls.count > len(found.questions):
        raise UserError(
            f"--num is {calls.count}, but {kind} ({calls.sources[kind]}) has "
            f"{len(found.questions)} questions for {calls.task}; lower it or give a larger file"
        )
    template = QUESTIONS.prompt + QUESTIONS.prefix

    def draw(question: Question, count: int) -> Prompt:
        chosen = _chosen(calls, question, count, len(found.texts))
        documents = [found.texts[index] for index in chosen]
        calls.shuffle(documents)
        context = "\n\n".join(
            DOCUMENT.format(i=i, document=document) for i, document in enumerate(documents, start=1)
        )
        return template.format(context=context, query=question.text), list(question.answers)

    first = found.questions[0]
    most = size(calls, lambda count: draw(first, count), _STEP, _STEP, 3)
    for index, question in enumerate(found.questions[: calls.count]):
        # Bound now: the question of this turn.
        text, answers = fitted(calls, lambda count, q=question: draw(q, count), most, _STEP)  # type: ignore[misc]
        yield row(calls, index, text, answers, QUESTIONS.prefix)


def _chosen(calls: Calls, question: Question, count: int, total: int) -> list[int]:
    """The documents of a prompt; of fewer than that all, over and over."""
    gold, near = list(question.gold), list(question.near)
    if count >= total:
        return [index % total for index in range(count)]
    more = count - len(gold)
    if more <= len(near):
        return gold + calls.rng.sample(near, more)
    own = {*gold, *near}
    others = [index for index in range(total) if index not in own]
    return gold + near + calls.rng.sample(others, more - len(near))
