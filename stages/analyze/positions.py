"""Learned positions z in numbers, per head and summed over inputs (PAPER.md section 5).

Shapes: K heads with a position of their own, N tokens. The mathematics is ``repo_model``'s.
"""

from collections import Counter
from typing import Any

from torch import Tensor

import repo_model
from repo_model.diagnostics import LINEAR_R2

PATTERNS = ("monotone", "constant", "hybrid")
STATISTICS = ("min", "max", "mean", "std", "linearity")


def heads(z_KN: Tensor, epsilon: float) -> list[dict[str, Any]]:
    """Per head ``min, max, mean, std``, ``linearity`` (r^2 in the token index) and two flags.

    ``linear``: the head only counts tokens, scaled RoPE in effect. ``collapsed``: it does, or all
    its positions lie within 2 epsilon, what the paper calls constant in a chunk: NoPE in effect.
    """
    found = repo_model.position_stats(z_KN[None], eps=epsilon)
    return [
        {
            **{name: round(found[name][head].item(), 6) for name in STATISTICS},
            "linear": found["linearity"][head].item() > LINEAR_R2,
            "collapsed": bool(found["collapsed"][head].item()),
        }
        for head in range(len(z_KN))
    ]


class PatternCounts:
    """Chunks by pattern, summed over inputs and layers: every chunk weighs the same."""

    def __init__(self, chunk_tokens: int, epsilon: float) -> None:
        self.chunk_tokens, self.epsilon = chunk_tokens, epsilon
        self.chunks = 0
        self._found: Counter[str] = Counter()

    def add(self, z_KN: Tensor) -> None:
        """Judge the non-overlapping whole chunks of a layer; a shorter last one is left out."""
        K, N = z_KN.shape
        per_head = N // self.chunk_tokens
        if not per_head:
            return
        found = repo_model.position_stats(z_KN[None], chunk=self.chunk_tokens, eps=self.epsilon)
        self.chunks += K * per_head
        for name in PATTERNS:
            self._found[name] += round(found[name].sum().item() * per_head)

    def shares(self) -> dict[str, float | int] | None:
        """The patterns' shares and the number of chunks; none where there was no chunk."""
        if not self.chunks:
            return None
        shares = {name: round(self._found[name] / self.chunks, 6) for name in PATTERNS}
        return {**shares, "chunks": self.chunks}
