"""Prose for haystacks: a text of the user's, or generated sentences that nobody owns.

RULER takes Paul Graham's essays, which have no licence: bring your own copy by its path.
"""

import hashlib
import json
import re
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from random import Random

from stages.benchmarks import corpora
from stages.benchmarks.words import Words
from stages.common.errors import UserError

_FRAMES = (
    "The {a} {n} stood beside the {n} for a long time.",
    "Nobody in the {n} had seen such a {a} {n} before.",
    "In the evening they carried the {n} back to the {a} {n}.",
    "A {n} and a {n} were left on the table.",
    "She said that the {n} was more {a} than the {n}.",
    "Before winter came, the {n} was sold for a {a} {n}.",
    "It is not easy to find a {n} without a {n}.",
    "He wrote about the {n}, the {n} and the {a} {n}.",
    "Some people think that every {n} needs a {a} {n}.",
    "When the rain stopped, we looked for the {a} {n}.",
    "There was a {n} behind the {n}, and it was {a}.",
    "What they wanted was a {a} {n}, not another {n}.",
    "After that the {a} {n} was never mentioned again.",
    "The road to the {n} passes a {a} {n}.",
    "Most of the time the {n} was {a}, but the {n} was not.",
    "You can learn a lot from a {a} {n}.",
)
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[\"'(]?[A-Z0-9])")
"""RULER splits with NLTK's punkt; this needs no download and differs after abbreviations only."""


class Prose:
    """Haystack text by the word, as RULER measures it."""

    def __init__(self, source: str, words: Words) -> None:
        """``source`` is what ``corpora`` knows: plain text, or JSON with a key ``text``."""
        self._words = words
        self.file = corpora.local("prose", source)
        self._text = read(self.file).split() if self.file else None
        content = "\n".join(_FRAMES) if self._text is None else " ".join(self._text)
        self.sha256 = hashlib.sha256(content.encode()).hexdigest()

    @property
    def words(self) -> int:
        """How many words there are."""
        return sys.maxsize if self._text is None else len(self._text)

    def sentences(self, count: int, rng: Random) -> list[str]:
        """The sentences of ``count`` words: the file's first ones, or words drawn from ``rng``."""
        if self._text is None:
            text = list(islice(self.generated(rng), count))
        else:
            text = self._text[:count]
        return split_sentences(" ".join(text))

    def generated(self, rng: Random) -> Iterator[str]:
        """Words of a text without end."""
        while True:
            frame = rng.choice(_FRAMES)
            while "{" in frame:
                frame = frame.replace("{n}", rng.choice(self._words.nouns), 1)
                frame = frame.replace("{a}", rng.choice(self._words.adjectives), 1)
            yield from frame.split(" ")


def split_sentences(text: str) -> list[str]:
    """The sentences of a text, by a rule that needs no download."""
    return _SENTENCE_END.split(text)


def read(file: Path) -> str:
    """The text of a file; ``UserError`` where there is none."""
    field = f"benchmarks.ruler.prose is {str(file)!r}"
    if not file.is_file():
        raise UserError(f"{field}: no such file")
    try:
        text = file.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise UserError(f"{field}: not UTF-8 text") from None
    if file.suffix == ".json":
        try:
            content = json.loads(text)["text"]
        except (ValueError, KeyError, TypeError, RecursionError):
            content = None
        if not isinstance(content, str):
            raise UserError(f"{field}: not JSON with a text under the key 'text'")
        text = content
    if not text.split():
        raise UserError(f"{field}: no words in it")
    return text
