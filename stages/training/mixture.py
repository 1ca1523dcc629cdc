"""Which source gives each sequence of a phase whose sources have targets.

The counts are exact to one sequence. The sources' sequences are spread evenly, so that the shares hold
in every part of the phase as well. All of it follows from the params and the number of sequences.
"""

import numpy as np
from numpy.typing import NDArray

from stages.common.errors import UserError
from stages.common.tokens import TokenStore
from stages.training.params import LengthPhase
from stages.training.realised import shared_out


class Mixture:
    """The sequences of a phase, each as a source and a number within the source."""

    def __init__(
        self, store: TokenStore, phase: LengthPhase, index: int, sequences: int, seed: int
    ) -> None:
        weights = phase.weights
        assert weights is not None and isinstance(phase.sources, dict)
        self._names, self._phase, self._seed = list(weights), index, seed
        self.length = phase.length
        self._streams = [store.stream("train", [name]) for name in self._names]
        self.chunks = [len(stream) // phase.length for stream in self._streams]
        counts = shared_out(sequences, list(weights.values()))
        self.counts = dict(zip(self._names, counts, strict=True))
        for name, count, chunks in zip(self._names, counts, self.chunks, strict=True):
            if not chunks:
                raise UserError(
                    f"lengths: a sequence of {phase.length} tokens is longer than source {name!r}; "
                    "give more text, or leave the source out"
                )
            most = phase.sources[name].max_passes
            if most is not None and count > most * chunks:
                raise UserError(
                    f"lengths: sources.{name}.max_passes is {most:g}, but its target of {count:,} "
                    f"sequences is {count / chunks:.2f} passes over the {chunks:,} there; lower the "
                    "target, or give more text"
                )
        places = np.concatenate([(np.arange(count) + 0.5) / max(count, 1) for count in counts])
        sources = np.repeat(np.arange(len(counts), dtype=np.uint16), counts)
        order = np.lexsort((sources, places))
        self._source = sources[order]
        self._number = np.concatenate([np.arange(count) for count in counts])[order]
        self._permutations: dict[int, tuple[int, NDArray[np.int64]]] = {}

    def read(self, sequence: int) -> NDArray[np.uint32]:
        """Token ids ``[length]`` of a sequence, counted from the phase's start."""
        source, number = int(self._source[sequence]), int(self._number[sequence])
        chunks = self.chunks[source]
        chunk = int(self._shuffled(source, number // chunks)[number % chunks])
        return self._streams[source].read(chunk * self.length, self.length)

    def _shuffled(self, source: int, epoch: int) -> NDArray[np.int64]:
        """Order of the source's chunks in a pass; the pass at hand is kept, one a source."""
        known = self._permutations.get(source)
        if known is None or known[0] != epoch:
            draw = [self._seed, self._phase, epoch, *self._names[source].encode()]
            found = np.random.Generator(np.random.PCG64(draw)).permutation(self.chunks[source])
            known = self._permutations[source] = epoch, found
        return known[1]
