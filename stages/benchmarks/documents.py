"""Questions with their documents: SQuAD, HotpotQA, or generated ones that nobody owns."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from stages.benchmarks import corpora, invented
from stages.common.errors import UserError


@dataclass(frozen=True)
class Question:
    """A question, what counts as its answer, and the documents that belong to it."""

    text: str
    answers: tuple[str, ...]
    gold: tuple[int, ...]
    """Documents that must be there (HotpotQA: with its eight distractors)."""
    near: tuple[int, ...] = ()
    """Documents that are taken before any other (SQuAD: paragraphs of the same article)."""


@dataclass(frozen=True)
class Documents:
    """A collection of questions over one list of different documents."""

    name: str
    questions: tuple[Question, ...]
    texts: tuple[str, ...]
    sha256: str


def load(kind: str, source: str) -> Documents:
    """The collection ``squad`` or ``hotpotqa`` from a source that ``corpora`` knows."""
    return _load(kind, source)


@lru_cache(maxsize=4)
def _load(kind: str, source: str) -> Documents:
    file = corpora.local(kind, source)
    if file is None:
        content = invented.single_hop() if kind == "squad" else invented.two_hops()
        digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    else:
        content, digest = _read(file, f"benchmarks.ruler.{kind}")
    try:
        found = _squad(content) if kind == "squad" else _hotpotqa(content)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(
            f"benchmarks.ruler.{kind} is {source!r}: not in {kind}'s layout ({error!r} is missing "
            "or of another kind)"
        ) from None
    if not found[0]:
        raise UserError(f"benchmarks.ruler.{kind} is {source!r}: no answerable question in it")
    return Documents(kind, *found, digest)


def _read(file: Path, field: str) -> tuple[Any, str]:
    if not file.is_file():
        raise UserError(f"{field} is {str(file)!r}: no such file")
    data = file.read_bytes()
    try:
        content = json.loads(data)
    except (ValueError, RecursionError):
        try:
            content = [json.loads(line) for line in data.splitlines() if line.strip()]
        except (ValueError, RecursionError) as error:
            raise UserError(f"{field} is {str(file)!r}: neither JSON nor JSONL ({error})") from None
    return content, hashlib.sha256(data).hexdigest()


def _squad(content: Any) -> tuple[tuple[Question, ...], tuple[str, ...]]:
    """SQuAD v2's layout; questions without an answer are left out, as RULER does."""
    articles = [article["paragraphs"] for article in content["data"]]
    texts, place = _numbered(text["context"] for article in articles for text in article)
    questions = []
    for article in articles:
        own = [place[paragraph["context"]] for paragraph in article]
        for paragraph in article:
            gold = place[paragraph["context"]]
            near = tuple(dict.fromkeys(index for index in own if index != gold))
            for asked in paragraph["qas"]:
                answers = tuple(_text(answer["text"]) for answer in asked["answers"])
                if not asked.get("is_impossible", False) and answers:
                    questions.append(Question(_text(asked["question"]), answers, (gold,), near))
    return tuple(questions), texts


def _hotpotqa(content: Any) -> tuple[tuple[Question, ...], tuple[str, ...]]:
    """HotpotQA's own layout, ``[[title, [sentences]]]``, or the hub's columns."""
    rows = [
        (_text(row["question"]), _text(row["answer"]), _paragraphs(row["context"]))
        for row in content
    ]
    texts, place = _numbered(text for *_, own in rows for text in own)
    return tuple(
        Question(question, (answer,), tuple(dict.fromkeys(place[text] for text in own)))
        for question, answer, own in rows
    ), texts


def _paragraphs(context: Any) -> list[str]:
    if isinstance(context, Mapping):
        context = list(zip(context["title"], context["sentences"], strict=True))
    return [f"{title}\n{''.join(sentences)}" for title, sentences in context]


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"a text, not {value!r:.40}")
    return value


def _numbered(found: Iterable[str]) -> tuple[tuple[str, ...], dict[str, int]]:
    texts = tuple(sorted(set(found)))
    return texts, {text: index for index, text in enumerate(texts)}
