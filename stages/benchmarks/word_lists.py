"""RULER's word-list tasks: common words (``cwe``) and frequent coded words (``fwe``)."""

import math
import string
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from stages.benchmarks.draft import Cell, Draft
from stages.benchmarks.params import Repeats
from stages.benchmarks.templates import CODED_WORDS, COMMON_WORDS
from stages.benchmarks.words import distinct

_ALPHA = 2
_ZETA = math.pi**2 / 6
"""Riemann's zeta at ``_ALPHA``: the share of the word of rank k is k^-alpha / zeta."""
_CODED_LETTERS = 6
_ASKED = 3
_LAST_RANK = _ASKED + 1
_NOISE_WORD = "..."
"""The most frequent coded word is noise; ranks 2 to 4 are asked for."""


@dataclass(frozen=True)
class CommonWords:
    """A numbered list in which some words stand more often than the others."""

    metric: str = "string_match_all"

    def least(self, cell: Cell) -> int:
        """The common words alone, as official."""
        return cell.params.cwe_at(cell.length).common

    def step(self, cell: Cell) -> int:
        """Different words."""
        return cell.params.steps_at(cell.length).words

    def most(self, cell: Cell) -> int:
        """All words there are."""
        return len(cell.words.all)

    def draft(self, cell: Cell, units: int, rng: Random) -> Draft:
        """A list of ``units`` different words, behind a worked example if any."""
        cwe = cell.params.cwe_at(cell.length)
        prompt, prefix = (text.replace("10", str(cwe.common)) for text in COMMON_WORDS)
        head, tail = prompt.split("{context}")
        example = ""
        if cwe.example:
            words = rng.sample(cell.words.all, cwe.example.words)
            shown = _numbered(_repeated(words, cwe.common, cwe.example.repeats, rng))
            solution = _numbered(words[: cwe.common])
            example = f"{head}{shown}{tail}{prefix} {solution}\n"
        words = rng.sample(cell.words.all, units)
        return Draft(
            head=example + head,
            context=_numbered(_repeated(words, cwe.common, cwe.repeats, rng)),
            tail=tail,
            prefix=prefix,
            answers=tuple(words[: cwe.common]),
            candidates=tuple(words),
        )


def _repeated(words: list[str], common: int, repeats: Repeats, rng: Random) -> list[str]:
    listed = [*words[:common] * repeats[0], *words[common:] * repeats[1]]
    rng.shuffle(listed)
    return listed


def _numbered(words: Sequence[str]) -> str:
    return " ".join(f"{i}. {word}" for i, word in enumerate(words, start=1))


@dataclass(frozen=True)
class CodedWords:
    """Random letters whose frequencies fall like a zeta distribution."""

    metric: str = "string_match_all"

    def least(self, cell: Cell) -> int:
        """So many words that the last one asked for stands there at least once."""
        return math.ceil(_ZETA * _LAST_RANK**_ALPHA)

    def most(self, cell: Cell) -> int:
        """Words are made up: no limit."""
        return sys.maxsize

    def step(self, cell: Cell) -> int:
        """Words; RULER's own step, a 32nd of the room, would cost a tenth of the tokens."""
        return max(1, cell.room // 256)

    def draft(self, cell: Cell, units: int, rng: Random) -> Draft:
        """About ``units`` coded words, some of them the dots that are to be ignored."""
        size = max(cell.room // 50, _LAST_RANK)
        letters = string.ascii_lowercase
        coded = distinct(lambda: "".join(rng.choices(letters, k=_CODED_LETTERS)), size)
        ranked = [_NOISE_WORD, *coded[1:]]
        text: list[str] = []
        for rank, word in enumerate(ranked, start=1):
            text += [word] * int(units / (rank**_ALPHA * _ZETA))
        candidates = sorted(set(text) - {_NOISE_WORD})
        rng.shuffle(text)
        head, tail = CODED_WORDS.prompt.split("{context}")
        return Draft(
            head=head,
            context=" ".join(text),
            tail=tail,
            prefix=CODED_WORDS.prefix,
            answers=tuple(ranked[1:_LAST_RANK]),
            candidates=tuple(candidates),
        )
