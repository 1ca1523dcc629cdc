"""Which tokens each step trains on: one order per seed, whatever the workers and the restarts.

The stream is cut into chunks of the phase's length (packed documents, as in PAPER.md section 3) and
the chunks are shuffled anew in every pass. A step's position follows from its number alone, so a
resumed run needs nothing but the step.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from stages.common.errors import UserError
from stages.common.tokens import TokenStore
from stages.common.training.params import TrainingParams


@dataclass(frozen=True)
class Phase:
    """Consecutive steps at one sequence length, on the same sources."""

    index: int
    first_step: int
    steps: int
    length: int
    sources: tuple[str, ...] | None


def phases(params: TrainingParams) -> list[Phase]:
    """The length schedule in whole steps; rounding goes to the last phase."""
    found: list[Phase] = []
    first, share = 0, 0.0
    for index, phase in enumerate(params.lengths):
        share += phase.share
        last = index == len(params.lengths) - 1
        end = params.steps if last else round(share * params.steps)
        found.append(Phase(index, first, end - first, phase.length, phase.sources))
        first = end
    return found


class DataOrder:
    """Batches by step number."""

    def __init__(self, store: TokenStore, params: TrainingParams, seed: int) -> None:
        self._params, self._seed = params, seed
        self._phases = phases(params)
        self._streams = [store.stream("train", phase.sources) for phase in self._phases]
        for phase, stream in zip(self._phases, self._streams, strict=True):
            if phase.length > len(stream):
                raise UserError(
                    f"lengths: a sequence of {phase.length} tokens is longer than the {len(stream)} "
                    "tokens to train on; give more text or shorter lengths"
                )

    def phase(self, step: int) -> Phase:
        """The phase that ``step`` (0-based) belongs to."""
        return next(p for p in self._phases if p.first_step <= step < p.first_step + p.steps)

    def rows(self, step: int) -> int:
        """Sequences in the global batch of ``step``."""
        return self._params.batch_tokens // self.phase(step).length

    def batch(self, step: int, first: int, count: int) -> NDArray[np.int64]:
        """Token ids ``[count, length]`` of rows ``first..first+count`` of the global batch."""
        phase = self.phase(step)
        stream = self._streams[phase.index]
        chunks = len(stream) // phase.length
        start = (step - phase.first_step) * self.rows(step) + first
        picked = (
            int(_shuffled(self._seed, phase.index, number // chunks, chunks)[number % chunks])
            for number in range(start, start + count)
        )
        rows = [stream.read(chunk * phase.length, phase.length) for chunk in picked]
        return np.stack(rows).astype(np.int64)


@lru_cache(maxsize=2)
def _shuffled(seed: int, phase: int, epoch: int, chunks: int) -> NDArray[np.int64]:
    return np.random.Generator(np.random.PCG64([seed, phase, epoch])).permutation(chunks)


def parts_per_step(params: TrainingParams, workers: int, micro_batch_tokens: int) -> int:
    """Forward passes per worker and step, so that none is over ``micro_batch_tokens``.

    Raises ``UserError`` where the global batch of a phase cannot be shared out evenly.
    """
    parts = max(1, math.ceil(params.batch_tokens / (workers * micro_batch_tokens)))
    for phase in params.lengths:
        rows = params.batch_tokens // phase.length
        if rows % workers:
            raise UserError(
                f"REPO_WORKERS is {workers} and does not divide the {rows} sequences of a batch "
                f"(batch_tokens {params.batch_tokens} / length {phase.length}); take a divisor"
            )
        per_worker = rows // workers
        # One number of parts must serve all phases: DeepSpeed fixes it when the engine is built.
        parts = next(n for n in range(min(parts, per_worker), per_worker + 1) if per_worker % n == 0)
    return parts
