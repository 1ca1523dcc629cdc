"""Which documents are held out: drawn by seed and number, whatever the shards."""

import random
from collections.abc import Iterator, Mapping, Sequence
from itertools import count

from stages.corpus.params import CorpusParams

SPLIT_BLOCK = 100_000
"""Documents whose splits come from one generator of random numbers."""
SPLITS = ("train", "validation")
LIMIT = 10_000
"""Documents that a check draws for; of more, some are held out."""


def splits(seed: int, held_out: float, source: str, seen: int) -> Iterator[str]:
    """Splits of the source's documents from number ``seen`` on; ``held_out`` is a share."""
    for block in count(seen // SPLIT_BLOCK):
        draw = random.Random(f"{seed} {source} {block}")
        drawn = ["validation" if draw.random() < held_out else "train" for _ in range(SPLIT_BLOCK)]
        yield from drawn[seen % SPLIT_BLOCK if block == seen // SPLIT_BLOCK else 0 :]


def without(params: CorpusParams, known: Mapping[str, Sequence[bool] | None]) -> str | None:
    """The split that no document falls into; none where that cannot be said.

    ``known``: of each source's documents, whether there is something in them; none: too many to say.
    """
    drawn: set[str] = set()
    for source, filled in known.items():
        if filled is None or len(filled) > LIMIT:
            return None
        drawing = splits(params.seed, params.validation_share, source, 0)
        pairs = zip(filled, drawing, strict=False)
        drawn |= {split for full, split in pairs if full}
    return next((split for split in SPLITS if split not in drawn), None)
