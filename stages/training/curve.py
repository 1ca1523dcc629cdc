"""The losses of a run: its curve, and each step's for the count of spikes.

A rank keeps the losses of its own rows on its device; they are summed up over the ranks only when
these meet. The curve's points do not depend on when that is.
"""

import math
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from stages.training.progress import Progress

POINTS = 200
"""Points of a loss curve: each is the mean over the steps since the last."""


class Curve:
    """Losses of the steps so far."""

    def __init__(self, steps: int, progress: Progress, rank: int, device: torch.device) -> None:
        self.every = max(1, steps // POINTS)
        self.points: list[dict[str, Any]] = list(progress.log)
        self.spikes, self.skipped = progress.spikes, progress.skipped
        self.last_loss = math.nan
        self._steps, self._world = steps, dist.get_world_size()
        self._open = _restore(progress.open_losses, rank, self._world, device)
        self._unseen: list[tuple[Tensor, int, bool]] = []

    def add(self, loss: Tensor, phase: int, skipped: bool) -> None:
        """The loss of one step over this rank's rows, on its device."""
        self._open.append(loss)
        self._unseen.append((loss, phase, skipped))

    def at_point(self, step: int) -> bool:
        """Whether the curve has a point after ``step`` steps."""
        return step % self.every == 0 or step == self._steps

    def close_point(self, step: int, tokens: int, lr: float) -> bool:
        """Make the point of ``step``; every rank calls it. Without a finite loss there is none, and
        False is returned."""
        loss = torch.stack(self._open).mean()
        self._open = []
        dist.all_reduce(loss)
        value = loss.item() / self._world
        if math.isfinite(value):
            self.points.append({"step": step, "tokens": tokens, "loss": round(value, 6), "lr": lr})
        return math.isfinite(value)

    def look(self) -> None:
        """Bring the counts of spikes and skipped steps up to the last step; every rank calls it."""
        if not self._unseen:
            return
        losses = torch.stack([loss for loss, _, _ in self._unseen])
        dist.all_reduce(losses)
        for loss, (_, phase, skipped) in zip(losses.tolist(), self._unseen, strict=True):
            self.last_loss = loss / self._world
            self.spikes = self.spikes.after(self.last_loss, phase, skipped)
            self.skipped += skipped
        self._unseen = []

    def open_losses(self) -> tuple[tuple[float, ...], ...]:
        """By rank, the losses since the last point; every rank calls it."""
        mine = torch.stack(self._open) if self._open else torch.empty(0)
        if not self._open:
            return ()
        found = [torch.empty_like(mine) for _ in range(self._world)]
        dist.all_gather(found, mine)
        return tuple(tuple(losses.tolist()) for losses in found)

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps, as fields of ``Progress``."""
        return {
            "log": tuple(self.points),
            "open_losses": self.open_losses(),
            "skipped": self.skipped,
            "spikes": self.spikes,
        }


def _restore(
    kept: tuple[tuple[float, ...], ...], rank: int, world: int, device: torch.device
) -> list[Tensor]:
    """This rank's open losses; after a change of the worker count, their mean over the old ranks."""
    if not kept:
        return []
    if len(kept) == world:
        return [torch.tensor(loss, device=device) for loss in kept[rank]]
    means = [math.fsum(losses) / len(losses) for losses in zip(*kept, strict=True)]
    return [torch.tensor(loss, device=device) for loss in means]
