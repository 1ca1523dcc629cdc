"""Loss spikes: a step whose loss stands far above the steps before it."""

import math
from dataclasses import dataclass, replace
from typing import Self

WINDOW = 128
"""Steps to compare with."""
ENOUGH = 32
"""Fewer steps than this say nothing about what is usual."""
DEVIATIONS = 6.0
LEAST_SHARE = 0.05
"""A spike is at least this much above the mean: a flat curve's own noise is no spike."""


@dataclass(frozen=True)
class Spikes:
    """The count so far and what it is judged by; kept in checkpoints, so a restart forgets nothing."""

    recent: tuple[float, ...] = ()
    """Losses of the last ordinary steps of the phase."""
    phase: int = -1
    total: int = 0
    in_a_row: int = 0
    """Bad steps up to now: spikes, losses that are not finite, skipped steps."""

    def after(self, loss: float, phase: int, skipped: bool) -> Self:
        """The count after one more step; a phase of another length starts a new comparison."""
        known = self if phase == self.phase else replace(self, recent=(), phase=phase)
        spike = not math.isfinite(loss) or known._stands_out(loss)
        if spike or skipped:
            return replace(known, total=known.total + spike, in_a_row=known.in_a_row + 1)
        return replace(known, recent=(*known.recent, loss)[-WINDOW:], in_a_row=0)

    def _stands_out(self, loss: float) -> bool:
        if len(self.recent) < ENOUGH:
            return False
        mean = math.fsum(self.recent) / len(self.recent)
        deviation = math.sqrt(math.fsum((x - mean) ** 2 for x in self.recent) / len(self.recent))
        return loss > mean + max(DEVIATIONS * deviation, LEAST_SHARE * abs(mean))
