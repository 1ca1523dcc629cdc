"""``cwe`` and ``fwe`` as RULER's ``common_words_extraction.py`` and ``freq_words_extraction.py``."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from stages.benchmarks.exact.calls import Calls, Prompt, fitted, row, size
from stages.benchmarks.templates import CODED_WORDS, COMMON_WORDS
from stages.common.errors import UserError

_LETTERS = "abcdefghijklmnopqrstuvwxyz"


def common(calls: Calls) -> Iterator[dict[str, Any]]:
    """The rows of ``cwe``."""
    words = list(calls.words.all)
    calls.shuffle(words)
    template = COMMON_WORDS.prompt + COMMON_WORDS.prefix
    short = calls.length < 4096

    def listed(count: int, common: int, uncommon: int) -> tuple[str, list[str]]:
        if count > len(words):
            raise UserError(
                f"length {calls.length} is too long for cwe: RULER draws more than {len(words)} words "
                "from a list that is not in it"
            )
        chosen = calls.rng.sample(words, count)
        found = chosen[:10] * common + chosen[10:] * uncommon
        calls.shuffle(found)
        return " ".join(f"{i + 1}. {word}" for i, word in enumerate(found)), chosen[:10]

    def draw(count: int) -> Prompt:
        shown, answers = listed(*((20, 3, 1) if short else (40, 10, 3)))
        solution = " ".join(f"{i + 1}. {word}" for i, word in enumerate(answers))
        example = template.format(context=shown) + " " + solution
        context, answers = listed(count, *((6, 1) if short else (30, 3)))
        return example + "\n" + template.format(context=context), answers

    most = size(calls, draw, 10, 4096, 2)
    for index in range(calls.count):
        text, answers = fitted(calls, draw, most, 10)
        yield row(calls, index, text, answers, COMMON_WORDS.prefix)


def coded(calls: Calls) -> Iterator[dict[str, Any]]:
    """The rows of ``fwe``."""
    room = calls.length - calls.budget
    kinds, step = room // 50, room // 32
    template = CODED_WORDS.prompt + CODED_WORDS.prefix

    def draw(count: int | None) -> tuple[str, list[str], int]:
        def word() -> str:
            return "".join(calls.rng.choices(_LETTERS, k=6))

        vocabulary = [word() for _ in range(kinds)]
        while len(set(vocabulary)) < kinds:
            vocabulary.append(word())
        vocabulary = sorted(set(vocabulary))
        calls.shuffle(vocabulary)
        vocabulary[0] = "..."

        def text(words: int) -> str:
            ranks = np.arange(1, len(vocabulary) + 1)
            counts = (words * (ranks**-2.0) / (np.pi**2 / 6)).astype(int)
            chosen = [w for w, times in zip(vocabulary, counts, strict=True) for _ in range(times)]
            calls.shuffle(chosen)
            return template.format(context=" ".join(chosen))

        if count is None:
            count = room // 6
            while calls.encoder.count(text(count)) < room:
                count += step
            count -= step
        else:
            while calls.encoder.count(text(count)) > room:
                count -= step
        return text(count), vocabulary[1:4], count

    if kinds < 4:
        raise UserError(f"length {calls.length} is too short for fwe; give a longer one")
    *_, most = draw(None)
    for index in range(calls.count):
        text, answers, _ = draw(most)
        yield row(calls, index, text, answers, CODED_WORDS.prefix)
