"""What the order of training picks of each source, counted to the token.

It follows from the tokens' manifest, the params and the seed: no shard is read, and neither workers
nor restarts are in it.
"""

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.training.order import Phase, phases, shuffled
from stages.training.params import LengthPhase, TrainingParams
from stages.training.realised import Part, realised, shared_out

Shards = list[tuple[str, int]]
"""Source and tokens of each shard to train on, in the manifest's order."""


def counted(manifest: Mapping[str, Any], params: TrainingParams, seed: int) -> dict[str, Part]:
    """Tokens, share and passes of each source that the training reads.

    ``manifest``: that of ``data/tokens``. 50 B tokens take 2 s and 300 MB.
    """
    shards = [
        (str(shard["source"]), int(shard["tokens"]))
        for shard in manifest["shards"]
        if shard["split"] == "train" and shard["tokens"]
    ]
    taken: dict[str, int] = {}
    for phase, given in zip(phases(params), params.lengths, strict=True):
        for name, tokens in _of_phase(shards, phase, given, seed).items():
            taken[name] = taken.get(name, 0) + tokens
    return realised(taken, {name: float(_size(shards, name)) for name in taken})


def _of_phase(shards: Shards, phase: Phase, given: LengthPhase, seed: int) -> dict[str, int]:
    sequences = phase.steps * phase.rows
    if (weights := given.weights) is not None:
        counts = shared_out(sequences, list(weights.values()))
        return {name: count * phase.length for name, count in zip(weights, counts, strict=True)}
    wanted: Collection[str] = phase.sources or {name for name, _ in shards}
    return _of_stream([one for one in shards if one[0] in wanted], phase, sequences, seed)


def _of_stream(shards: Shards, phase: Phase, sequences: int, seed: int) -> dict[str, int]:
    """Of one stream cut into chunks that are shuffled anew in every pass (``DataOrder.batch``)."""
    ends = np.cumsum([tokens for _, tokens in shards])
    chunks = int(ends[-1]) // phase.length
    found = np.zeros(len(shards), dtype=np.int64)
    if not chunks or not sequences:
        return {}
    passes, rest = divmod(sequences, chunks)
    if passes:
        starts = ends - np.array([tokens for _, tokens in shards])
        inside = np.minimum(ends, chunks * phase.length) - np.minimum(starts, chunks * phase.length)
        found += passes * inside
    if rest:
        picked = shuffled(seed, phase.index, passes, chunks)[:rest]
        found += _overlaps(picked * phase.length, phase.length, ends)
    sums: dict[str, int] = {}
    for (name, _), tokens in zip(shards, found.tolist(), strict=True):
        sums[name] = sums.get(name, 0) + tokens
    return sums


def _overlaps(starts: NDArray[np.int64], length: int, ends: NDArray[np.int64]) -> NDArray[np.int64]:
    """Tokens of each shard in the pieces of ``length`` tokens that begin at ``starts``."""
    first = np.searchsorted(ends, starts, side="right")
    found = np.bincount(first, minlength=len(ends)).astype(np.int64) * length
    across = np.flatnonzero(starts + length > ends[first])
    for start, shard in zip(starts[across].tolist(), first[across].tolist(), strict=True):
        left, place = start + length - int(ends[shard]), shard
        found[place] -= left
        while left:  # a piece may span several small shards
            place += 1
            part = min(left, int(ends[place] - ends[place - 1]))
            found[place] += part
            left -= part
    return found


def _size(shards: Shards, name: str) -> int:
    return sum(tokens for source, tokens in shards if source == name)
