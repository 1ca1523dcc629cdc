"""What a training takes of each source: tokens, share of the training, passes over the source.

``expected`` reckons it from the params and the sources' sizes, before anything is made; what the order
of training really picks is counted in ``stages.training.counted``.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from stages.training.params import TrainingParams

MANY_PASSES = 4.0
"""Repeated text is worth almost as much as new up to here (arXiv 2305.16264)."""


class Part(NamedTuple):
    """What a training takes of a source."""

    tokens: int
    share: float
    """Of all tokens of the training."""
    passes: float | None
    """Over the source's tokens; a pass is one reading of every whole sequence. None: its size is not
    known."""

    @property
    def many(self) -> bool:
        """Whether new text would teach more."""
        return self.passes is not None and self.passes > MANY_PASSES


def shared_out(sequences: int, weights: Sequence[float]) -> list[int]:
    """Whole numbers in the ratio of ``weights`` (sum 1) that add up: by the largest remainders."""
    exact = [sequences * weight for weight in weights]
    counts = [int(value) for value in exact]
    left = sorted(range(len(exact)), key=lambda n: (counts[n] - exact[n], n))
    for number in left[: sequences - sum(counts)]:
        counts[number] += 1
    return counts


def realised(taken: Mapping[str, int], there: Mapping[str, float | None]) -> dict[str, Part]:
    """Tokens, share and passes by source from tokens taken and tokens there."""
    total = sum(taken.values())
    return {
        name: Part(tokens, tokens / max(1, total), size and tokens / max(1.0, size))
        for name, tokens in taken.items()
        for size in [there[name]]
    }


def expected(params: TrainingParams, there: Mapping[str, float | None]) -> dict[str, Part]:
    """The parts of every source, from the tokens that each has to train on.

    ``there``: all sources in their order; none: not known offline. A phase without targets takes its
    sources by size: where a size is not known, neither are the shares, and the result is empty.
    """
    taken: dict[str, int] = {}
    for phase in params.lengths:
        rows = params.steps_of(phase) * (params.batch_of(phase) // phase.length)
        weights = phase.weights or _by_size(list(phase.sources or there), there)
        if weights is None:
            return {}
        counts = shared_out(rows, list(weights.values()))
        for name, count in zip(weights, counts, strict=True):
            taken[name] = taken.get(name, 0) + count * phase.length
    return realised(taken, {name: there.get(name) for name in taken})


def _by_size(names: Sequence[str], there: Mapping[str, float | None]) -> dict[str, float] | None:
    if len(names) == 1:
        return {names[0]: 1.0}
    sizes = {name: size for name in names if (size := there.get(name)) is not None}
    total = sum(sizes.values())
    if len(sizes) < len(names) or not total:
        return None
    return {name: size / total for name, size in sizes.items()}
