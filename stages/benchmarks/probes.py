"""Two inputs whose learned positions are worth looking at: one with a structure, one without."""

from collections.abc import Iterator
from random import Random
from typing import Any

from stages.benchmarks.words import Words, number
from stages.common.encoder import Encoder


def probes(length: int, seed: int, encoder: Encoder, words: Words) -> Iterator[dict[str, Any]]:
    """The ``structured`` and the ``noisy`` input, at most ``length`` tokens each."""
    for name, line in (("structured", _entry), ("noisy", _noise)):
        rng = Random(f"{seed}/probe/{name}")
        lines: list[str] = []
        while encoder.count("\n".join(lines)) <= length:
            lines.append(line(len(lines), rng, words))
        text = "\n".join(lines[:-1])
        yield {"id": name, "text": text, "prompt_ids": encoder.ids(text)}


def _entry(index: int, rng: Random, words: Words) -> str:
    """A line of a document made of tables and lists, which repeat after 12 lines."""
    row = index % 12
    if row == 0:
        return f"# {rng.choice(words.nouns)}"
    if row in (1, 8):
        return ""
    if row == 2:
        return "| name | size | count |"
    if row == 3:
        return "|---|---|---|"
    if row < 8:
        return f"| {rng.choice(words.nouns)} | {number(rng, 2)} | {number(rng, 3)} |"
    return f"- {rng.choice(words.nouns)}: {rng.choice(words.adjectives)}"


def _noise(index: int, rng: Random, words: Words) -> str:
    """A line of random words."""
    return " ".join(rng.sample(words.all, 8))
