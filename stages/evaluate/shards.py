"""The evaluation cut into shards: small descriptions of work, each with one result file.

A shard's key is the hash of everything that decides its result: the model, how far it is extended,
the samples, the decoding and this stage's VERSION. A changed model never reuses a result.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from stages.evaluate.version import VERSION

OWN_ENGINE = "own"
"""``stages.evaluate.engine``; the others' results are kept apart."""
STATIC_ENGINE = "static"
"""transformers' ``generate`` on padded batches: the reference."""


@dataclass(frozen=True)
class Model:
    """A model folder, and YaRN's factor where it is read beyond the trained length."""

    folder: str
    sha256: str
    yarn_factor: float | None = None
    softmax_scale: float = 1.0
    """Factor on the attention logits, a setting of the variant's at test time."""


@dataclass(frozen=True)
class Shard:
    """Rows of one source that one model reads in one batch."""

    kind: Literal["samples", "windows"]
    """``samples`` are continued; of validation ``windows`` the loss is taken."""
    model: Model
    source: str
    """``samples``: a file under data/benchmarks; ``windows``: a source of validation tokens."""
    source_sha256: str
    rows: tuple[int, ...]
    """Lines of the file; of windows the places of their first tokens in the source's stream."""
    length: int
    """Tokens: the most that a sample takes with its budget, or exactly a window's."""
    max_new_tokens: int
    eos_ids: tuple[int, ...]
    """Each of them ends an answer (``stages.evaluate.ends``)."""
    stop_when_answered: bool = False
    engine: str = OWN_ENGINE

    @property
    def key(self) -> str:
        """Name of the result file, without suffix."""
        identity: dict[str, Any] = asdict(self) | {"version": VERSION}
        del identity["model"]["folder"]  # a place, not content
        if self.model.softmax_scale == 1.0:
            del identity["model"]["softmax_scale"]  # keys are what they were before there was one
        if self.engine == OWN_ENGINE:
            del identity["engine"]  # keys are what they were before there was another
        return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:32]


def batches(rows: Sequence[int], length: int, batch_tokens: int) -> Iterator[tuple[int, ...]]:
    """Batches of about equal size: at most ``batch_tokens`` in each, but one row at least."""
    most = max(1, batch_tokens // length)
    count = -(-len(rows) // most)
    for i in range(count):
        yield tuple(rows[i * len(rows) // count : (i + 1) * len(rows) // count])
