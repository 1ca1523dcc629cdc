"""Which tokens each step trains on: one order per seed, whatever the workers and the restarts.

The stream is cut into chunks of the phase's length (packed documents, as in PAPER.md section 3) and
the chunks are shuffled anew in every pass. A step's position follows from its number alone, so a
resumed run needs nothing but the step.
"""

import math
from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from stages.common.errors import UserError
from stages.common.tokens import TokenStore
from stages.training.mixture import Mixture
from stages.training.params import Repetition, TrainingParams
from stages.training.progress import DataPosition


@dataclass(frozen=True)
class Phase:
    """Consecutive steps at one sequence length, on the same sources."""

    index: int
    first_step: int
    steps: int
    length: int
    rows: int
    """Sequences in the global batch."""
    first_token: int
    """Tokens trained on before it."""
    sources: Collection[str] | None


def phases(params: TrainingParams) -> list[Phase]:
    """The length schedule in whole steps."""
    found: list[Phase] = []
    step = token = 0
    for index, phase in enumerate(params.lengths):
        steps, batch = params.steps_of(phase), params.batch_of(phase)
        rows = batch // phase.length
        found.append(Phase(index, step, steps, phase.length, rows, token, phase.sources))
        step, token = step + steps, token + steps * batch
    return found


class DataOrder:
    """Batches by step number; reading is memory-mapped."""

    def __init__(self, store: TokenStore, params: TrainingParams, seed: int) -> None:
        self.steps, self._seed, self._store = params.steps, seed, store
        self.phases = phases(params)
        self._streams = [store.stream("train", phase.sources) for phase in self.phases]
        self._mixtures = {
            phase.index: Mixture(store, given, phase.index, phase.steps * phase.rows, seed)
            for phase, given in zip(self.phases, params.lengths, strict=True)
            if given.weights is not None
        }
        for phase, stream in zip(self.phases, self._streams, strict=True):
            if phase.length > len(stream):
                raise UserError(
                    f"lengths: a sequence of {phase.length} tokens is longer than the {len(stream)} "
                    "tokens to train on; give more text or shorter lengths"
                )

    def phase(self, step: int) -> Phase:
        """The phase that ``step`` (0-based) belongs to."""
        return next(p for p in self.phases if p.first_step <= step < p.first_step + p.steps)

    def rows(self, step: int) -> int:
        """Sequences in the global batch of ``step``."""
        return self.phase(step).rows

    def tokens_before(self, step: int) -> int:
        """Tokens trained on in the steps before ``step``; at the last step's number, all of them."""
        phase = self.phase(min(step, self.steps - 1))
        return phase.first_token + (step - phase.first_step) * phase.rows * phase.length

    def position(self, step: int) -> DataPosition:
        """Where the data stands before ``step``."""
        phase = self.phase(min(step, self.steps - 1))
        sequence = (step - phase.first_step) * phase.rows
        tokens = self.tokens_before(step)
        return DataPosition(
            step, tokens, phase.index, sequence, self._store.fingerprint, self._seed
        )

    def batch(self, step: int, first: int, count: int) -> NDArray[np.int64]:
        """Token ids ``[count, length]`` of rows ``first..first+count`` of the global batch."""
        phase = self.phase(step)
        stream, mixture = self._streams[phase.index], self._mixtures.get(phase.index)
        chunks = len(stream) // phase.length
        start = (step - phase.first_step) * phase.rows + first
        if mixture is not None:
            mixed = [mixture.read(number) for number in range(start, start + count)]
            return np.stack(mixed).astype(np.int64)
        picked = (
            int(shuffled(self._seed, phase.index, number // chunks, chunks)[number % chunks])
            for number in range(start, start + count)
        )
        rows = [stream.read(chunk * phase.length, phase.length) for chunk in picked]
        return np.stack(rows).astype(np.int64)


def varied(ids_BT: NDArray[np.int64], rule: Repetition) -> NDArray[np.bool_]:
    """Which sequences [B] pass OLMo's repetition filter: none has a piece of up to ``max_period``
    tokens ``max_count`` times in a row."""
    passed = np.ones(len(ids_BT), dtype=bool)
    for period in range(1, rule.max_period + 1):
        same_BT = ids_BT[:, period:] == ids_BT[:, :-period]
        needed = period * (rule.max_count - 1)
        if needed > same_BT.shape[1]:
            break
        sums_BT = np.pad(same_BT.cumsum(1), ((0, 0), (1, 0)))
        passed &= ~(sums_BT[:, needed:] - sums_BT[:, :-needed] == needed).any(1)
    return passed


@lru_cache(maxsize=2)
def shuffled(seed: int, phase: int, epoch: int, chunks: int) -> NDArray[np.int64]:
    """Order of a stream's chunks in a pass (``epoch``, from 0)."""
    return np.random.Generator(np.random.PCG64([seed, phase, epoch])).permutation(chunks)


def parts_per_step(params: TrainingParams, workers: int, micro_batch_tokens: int) -> int:
    """Forward passes per worker and step, so that none is over ``micro_batch_tokens``.

    Raises ``UserError`` where the global batch of a phase cannot be shared out evenly.
    """
    schedule = phases(params)
    for phase in schedule:
        if phase.rows % workers:
            raise UserError(
                f"REPO_WORKERS is {workers} and does not divide the {phase.rows} sequences of a "
                f"batch (batch_tokens / length {phase.length}); take a divisor"
            )
    # One number of parts must serve all phases: DeepSpeed fixes it when the engine is built.
    shared = math.gcd(*(phase.rows // workers for phase in schedule))
    longest = max(phase.rows * phase.length for phase in schedule) // workers
    fitting = [
        n for n in range(1, shared + 1) if shared % n == 0 and longest <= n * micro_batch_tokens
    ]
    return fitting[0] if fitting else shared
