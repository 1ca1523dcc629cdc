"""Random keys, values and names of RULER's tasks.

Words are those of ``wonderwords`` (MIT), which RULER draws from; its version is pinned, because
other versions hold other lists.
"""

import hashlib
import uuid
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from random import Random

from stages.common.errors import UserError

CAPITALS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_FEWEST = 64
"""Words of a kind below which keys would repeat between samples."""


class Words:
    """The lists of nouns, adjectives and verbs, or those of their words that are short enough."""

    def __init__(self, tokens: Callable[[str], int], at_most: int | None) -> None:
        """``tokens`` counts a word's tokens; ``at_most`` is ``ruler.word_tokens``."""
        lists = {kind: _read(kind) for kind in ("noun", "adjective", "verb")}
        self.sha256 = hashlib.sha256(repr(lists).encode()).hexdigest()
        if at_most is not None:
            lists = {
                kind: [word for word in words if tokens(word) <= at_most]
                for kind, words in lists.items()
            }
        for kind, words in lists.items():
            if len(words) < _FEWEST:
                raise UserError(
                    f"benchmarks.ruler.word_tokens is {at_most}: the tokenizer writes only "
                    f"{len(words)} {kind}s so short, {_FEWEST} are needed; raise it"
                )
        self.nouns, self.adjectives = lists["noun"], lists["adjective"]
        self.verbs = lists["verb"]
        self.all = sorted(set(self.nouns + self.adjectives + self.verbs))

    def key(self, rng: Random) -> str:
        """An ``adjective-noun``."""
        return f"{rng.choice(self.adjectives)}-{rng.choice(self.nouns)}"


def _read(kind: str) -> list[str]:
    # Not imported: it would read all its lists, in the locale's encoding.
    package = find_spec("wonderwords")
    if package is None or package.origin is None:
        raise ModuleNotFoundError("No module named 'wonderwords'", name="wonderwords")
    file = Path(package.origin).parent / "assets" / f"{kind}list.txt"
    lines = file.read_text(encoding="utf-8")
    return sorted({line.strip() for line in lines.splitlines() if line.strip()})


def number(rng: Random, digits: int) -> str:
    """A number of so many digits, the first not zero."""
    return str(rng.randint(10 ** (digits - 1), 10**digits - 1))


def identifier(rng: Random) -> str:
    """A version-4 UUID."""
    return str(uuid.UUID(int=rng.getrandbits(128), version=4))


def capitals(rng: Random, letters: int) -> str:
    """A name in capitals."""
    return "".join(rng.choices(CAPITALS, k=letters))


def distinct(draw: Callable[[], str], count: int) -> list[str]:
    """``count`` different strings in the order they were drawn.

    RULER lets two keys share a value by chance; here the share of right candidates must be exact.
    """
    found: dict[str, None] = {}
    for _ in range(1000 * count):
        found.setdefault(draw())
        if len(found) == count:
            return list(found)
    raise UserError(
        f"benchmarks.ruler: {count} different values are needed, but only {len(found)} were found; "
        "raise value_digits, vt.name_letters or word_tokens"
    )
