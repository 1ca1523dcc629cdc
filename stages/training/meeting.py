"""Where the ranks agree what comes next: rank 0's clock decides, for saving is collective.

They meet about every ``SECONDS``, not at every step: a meeting makes the hosts wait for each other.
"""

import time
from dataclasses import dataclass

import torch
import torch.distributed as dist

SECONDS = 0.5
MOST_STEPS = 1000


@dataclass(frozen=True)
class Decision:
    """What all ranks do now."""

    save: bool
    stop: bool
    next_step: int
    """The step of the next meeting."""


class Meetings:
    """When to meet; every rank holds one and rank 0's counts."""

    def __init__(self, step: int) -> None:
        self.next_step = step + 1
        self._last = (step, time.monotonic())

    def hold(self, step: int, save: bool, stop: bool, device: torch.device) -> Decision:
        """Every rank calls it after ``step``; the arguments of rank 0 are what is decided."""
        now = time.monotonic()
        steps, seconds = step - self._last[0], now - self._last[1]
        ahead = max(1, min(int(SECONDS * steps / max(seconds, 1e-6)), MOST_STEPS))
        self._last = (step, now)
        agreed = torch.tensor([int(save), int(stop), step + ahead], device=device)
        dist.broadcast(agreed, src=0)
        found = agreed.tolist()
        self.next_step = found[2]
        return Decision(bool(found[0]), bool(found[1]), found[2])
