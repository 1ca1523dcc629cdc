"""Prompts that begin alike: what of one was read need not be read again for the next.

Whole samples of a haystack share it up to the first needle (RULER's niah_single_1: 48 % of all tokens
at 4,096; niah_single_2 with essays likewise), questions about one document share the document.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np

_LEAST = 0.45
"""Least share of a prompt that is worth it. What follows a kept beginning is read under a mask, by a
slower kernel: half a prompt costs, of all of it, 0.56 on a CPU at width 512 (four layers), but 0.75 at
width 96 (two layers) and 1,024 tokens, and 0.96 at 2,048. A document whose middle was cut out shares
its first half.
"""
_FEWEST = 256
"""Least tokens: below, prompts gain more by being read together."""


def key(ids: Sequence[int]) -> bytes:
    """Token ids as bytes that sort as they do; 500 prompts of 128K as lists would be 2 GB."""
    return np.asarray(ids, dtype=">u4").tobytes()


def shared(one: bytes, other: bytes) -> int:
    """Tokens of ``other`` that need not be read after ``one`` (both as keys), or 0.

    At least one is left to read.
    """
    low, high = 0, min(len(one), len(other) - 4) // 4
    total = len(other) // 4
    while low < high:
        middle = (low + high + 1) // 2
        if one[4 * low : 4 * middle] == other[4 * low : 4 * middle]:
            low = middle
        else:
            high = middle - 1
    return low if low >= max(_FEWEST, _LEAST * total) else 0


def in_order(keys: Sequence[bytes]) -> list[int]:
    """Places of the prompts by length, but those that begin alike side by side."""
    rows = sorted(range(len(keys)), key=lambda row: (keys[row], row))
    families = [rows[:1]]
    for before, row in pairwise(rows):
        if shared(keys[before], keys[row]):
            families[-1].append(row)
        else:
            families.append([row])
    families.sort(key=lambda family: max((len(keys[row]), row) for row in family))
    return [row for family in families for row in family]


def readings(keys: Sequence[bytes], most: int) -> Iterator[tuple[list[int], int]]:
    """Prompts to read together, and how many first tokens the one read just before has in common.

    What shares nothing is read in batches of at most ``most`` tokens, padding included; what
    follows a kept beginning, one prompt at a time.
    """
    rows: list[int] = []
    kept, widest = 0, 0
    for row in in_order(keys):
        alike = shared(keys[rows[-1]], keys[row]) if rows else 0
        length = len(keys[row]) // 4
        if rows and (alike or kept or (len(rows) + 1) * max(widest, length) > most):
            yield rows, kept
            rows, kept, widest = [], alike, 0
        rows.append(row)
        widest = max(widest, length)
    yield rows, kept
