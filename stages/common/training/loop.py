"""The training loop, as every worker runs it.

A worker needs the tokens, a starting model and a folder; where a checkpoint lies in the folder the
run goes on from it. Nothing of the result depends on how often that happened: a run that was killed
and one that was not end with the same bytes (same workers, CPU).
"""

import math
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.distributed as dist
from filelock import FileLock
from torch import Tensor, nn

from stages.common.errors import UserError
from stages.common.files import write_json, write_jsonl
from stages.common.tokens import TokenStore
from stages.common.training import checkpoint
from stages.common.training.engine import Engine
from stages.common.training.execution import Execution
from stages.common.training.named_state import State, weights_of
from stages.common.training.optimizer import schedule
from stages.common.training.order import DataOrder, parts_per_step
from stages.common.training.params import TrainingParams

LOG_POINTS = 200
"""Points of a loss curve: each is the mean over the steps since the last."""
CHECKPOINT_COST = 0.02
"""Checkpoints may take this share of the time: the dearer they are, the seldomer they come."""
LIVE_SECONDS = 2.0


@dataclass(frozen=True)
class Run:
    """What a training run is, and where it keeps its state."""

    params: TrainingParams
    seed: int
    tokens: Path
    folder: Path
    build: Callable[[], nn.Module]
    """Makes the starting model, equal on every rank: its weights come from a file or from a seed."""


def train(run: Run, execution: Execution) -> None:
    """Train to the end, or from the last checkpoint on; rank 0 leaves ``final/`` and ``log.jsonl``."""
    rank = dist.get_rank()
    # A killed run's rank 0 may outlive its driver by seconds: wait for its end before writing.
    with FileLock(run.folder / ".writer.lock", timeout=120) if rank == 0 else nullcontext():
        dist.barrier()
        _Loop(run, execution, rank, dist.get_world_size()).go()


class _Loop:
    def __init__(self, run: Run, execution: Execution, rank: int, world: int) -> None:
        self.run, self.execution, self.rank, self.world = run, execution, rank, world
        self.order = DataOrder(TokenStore(run.tokens), run.params, run.seed)
        self.parts = parts_per_step(run.params, world, execution.micro_batch_tokens)
        model = run.build()
        model.train()
        if execution.gradient_checkpointing:
            model.gradient_checkpointing_enable()  # type: ignore[operator]
        found = checkpoint.latest(run.folder / "checkpoints")
        state, progress = found or (weights_of(model), checkpoint.Progress(0, 0, []))
        self.step = self.saved_step = progress.step
        self.log = list(progress.log)
        self.engine = Engine(model, run.params, execution, self.parts, state, self.step)
        self.log_every = max(1, run.params.steps // LOG_POINTS)
        self.started = self.saved_at = self.shown_at = time.monotonic()
        self.first_step, self.save_seconds = self.step, 0.0
        if rank == 0 and found:
            print(f"resumed at step {self.step}, token {progress.tokens}", flush=True)

    def go(self) -> None:
        losses: list[Tensor] = []
        while self.step < self.run.params.steps:
            self.engine.scale_learning_rates(schedule(self.run.params, self.step))
            losses.append(self._advance())
            self.step += 1
            if self.step % self.log_every == 0 or self.step == self.run.params.steps:
                self._record(torch.stack(losses).mean())
                losses = []
                if self._checkpoint_is_due():
                    self._save()
        state = self._save()
        if self.rank == 0:
            self._export(state)
        dist.barrier()

    def _advance(self) -> Tensor:
        """One optimizer step on this rank's rows of the global batch; returns their mean loss."""
        rows = self.order.rows(self.step) // (self.world * self.parts)
        losses = []
        for part in range(self.parts):
            first = (self.rank * self.parts + part) * rows
            ids_BT = torch.from_numpy(self.order.batch(self.step, first, rows))
            losses.append(self.engine.accumulate(ids_BT))
        return torch.stack(losses).mean()

    def _record(self, loss: Tensor) -> None:
        """Add a point to the loss curve; the one place where a step waits for its numbers."""
        dist.all_reduce(loss)
        value = loss.item() / self.world
        if not math.isfinite(value):
            raise UserError(
                f"lr is {self.run.params.lr}: the loss is {value} at step {self.step}; lower it"
            )
        tokens = self.order.tokens_before(self.step)
        lr = self.run.params.lr * schedule(self.run.params, self.step - 1)
        self.log.append({"step": self.step, "tokens": tokens, "loss": round(value, 6), "lr": lr})
        now = time.monotonic()
        if self.rank == 0 and (now - self.shown_at > LIVE_SECONDS or len(self.log) == 1):
            self.shown_at = now
            done = tokens - self.order.tokens_before(self.first_step)
            rate = done / (now - self.started)
            live = {**self.log[-1], "steps": self.run.params.steps, "tokens_per_s": rate}
            write_json(self.run.folder / "live.json", live)

    def _checkpoint_is_due(self) -> bool:
        """Rank 0's clock decides for all: saving is collective."""
        wait = max(self.execution.checkpoint_seconds, self.save_seconds / CHECKPOINT_COST)
        due = torch.tensor(float(time.monotonic() - self.saved_at > wait))
        due = due.to(self.engine.device)
        dist.broadcast(due, src=0)
        return bool(due.item())

    def _save(self) -> State:
        started = time.monotonic()
        state = self.engine.state()
        if self.rank == 0 and (self.step > self.saved_step or self.step == 0):
            tokens = self.order.tokens_before(self.step)
            progress = checkpoint.Progress(self.step, tokens, self.log)
            checkpoint.save(self.run.folder / "checkpoints", state, progress)
        self.saved_step, self.saved_at = self.step, time.monotonic()
        self.save_seconds = self.saved_at - started
        return state

    def _export(self, state: State) -> None:
        """Leave the trained model as a Hugging Face folder; ``log.jsonl`` comes last and means done."""
        model = self.run.build()
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                parameter.copy_(state[name])
        if self.run.params.precision == "bf16":
            model.to(torch.bfloat16)
        model.save_pretrained(self.run.folder / "final")  # type: ignore[operator]
        write_jsonl(self.run.folder / "log.jsonl", self.log)
