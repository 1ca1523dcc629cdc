"""The training loop, as every worker runs it.

A worker needs the tokens, a starting model and a folder; where a checkpoint lies in the folder the
run goes on from it. Nothing of the result depends on how often that happened: a run that was killed
and one that was not end with the same bytes (same workers, CPU).
"""

import math
import time
import uuid
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from filelock import FileLock
from torch import Tensor

from stages.common.errors import UserError
from stages.common.files import write_json
from stages.common.models import load_model
from stages.common.tokens import TokenStore
from stages.training import checkpoint, health, held_out, milestones, trainable
from stages.training.attempts import Attempts
from stages.training.curve import Curve
from stages.training.engine import Engine, scores_of
from stages.training.execution import Execution
from stages.training.export import export
from stages.training.eyes import Eyes
from stages.training.flops import work_per_token
from stages.training.looks import Due
from stages.training.meeting import Meetings
from stages.training.moments import updates_of, with_moments
from stages.training.named_state import State, shapes_of, weights_of
from stages.training.notices import say
from stages.training.order import DataOrder, parts_per_step, varied
from stages.training.progress import Progress
from stages.training.run import SAVE, START, STOP, STOPPED, Run
from stages.training.schedule import map_travel, schedule
from stages.training.start import execution_line, positions_line, start_line
from stages.training.watchdog import Watchdog
from stages.training.writer import CheckpointWriter

CHECKPOINT_COST = 0.05
"""Standing still for checkpoints and writing them may take this share of the time."""
CHECKPOINT_BYTES_PER_S = 20e6
"""Written on average at most, however fast the storage is: 2.9 TB in 40 hours. OLMo-2 1B's 18 GB come
every 15 minutes, a toy's as often as ``REPO_CHECKPOINT_SECONDS`` allows."""
STATE_BYTES = 12
"""Of a parameter in a checkpoint: fp32 weight and two moments."""


def pause(least_s: float, cost_s: float, size: int) -> float:
    """Seconds from one checkpoint of ``size`` bytes to the next; the last one cost ``cost_s`` (the
    stall and the writing)."""
    return max(least_s, cost_s / CHECKPOINT_COST, size / CHECKPOINT_BYTES_PER_S)


def train(run: Run, execution: Execution) -> bool:
    """Train to the end, or from the last checkpoint on; rank 0 leaves ``final/`` and ``log.jsonl``.

    Returns whether the end was reached; not where the run was asked to stop: it is saved then.
    """
    rank = dist.get_rank()
    # A killed run's rank 0 may outlive its driver by seconds: wait for its end before writing.
    lock = FileLock(run.folder / ".writer.lock", timeout=120) if rank == 0 else nullcontext()
    watch = Watchdog(execution.hang_seconds, partial(_say, run, rank), run.folder, rank)
    with watch as watchdog, lock:
        _from_rank_0(lambda: Attempts(run.folder).begin(run.checkpoints))
        return Loop(run, execution, rank, dist.get_world_size(), watchdog).go()


class Loop:
    """One worker's side of a run."""

    def __init__(
        self, run: Run, execution: Execution, rank: int, world: int, watchdog: Watchdog
    ) -> None:
        self.run, self.execution, self.rank, self.world = run, execution, rank, world
        self.watchdog = watchdog
        store = TokenStore(run.tokens, run.token_files)
        self.order = DataOrder(store, run.params, run.seed)
        self.parts = parts_per_step(run.params, world, execution.micro_batch_tokens)
        with watchdog.own_work("building the model"):
            model = run.build()
            trainable.freeze(model, run.params)
        model.train()
        found = self._last_checkpoint()
        fresh = Progress(self.order.position(0))
        progress = found.progress if found else fresh
        self.step = self.saved_step = progress.position.step
        state: State
        if found:
            progress.check(self.order.position(self.step), str(found.folder))
            reading = partial(watchdog.own_work, "reading the checkpoint")
            stored = checkpoint.Stored(found.folder, reading)
            stored.check(shapes_of(model))
            state, updates = stored, updates_of(run.moments) + self.step - progress.skipped
        else:
            state, updates = with_moments(weights_of(model), run.moments), updates_of(run.moments)
            if rank == 0:
                say(run.folder, start_line(model, run.base, state, updates))
        work = {p.length: work_per_token(model, p.length) for p in self.order.phases}
        watchdog.beat("building the engine")
        arguments = (model, run.params, execution, self.parts, state, updates, store.eos_id)
        self.engine = Engine(*arguments)
        if rank == 0:
            say(run.folder, execution_line(execution, world, self.parts, self.engine.zero_stage))
        if not found:
            self._tell_start()
        self.curve = Curve(run.params.steps, progress, rank, self.engine.device)
        every = self.curve.every
        self.positions_due = Due(run.params.steps, every, health.looks(run.params.steps))
        self.samples = held_out.samples(run, self.order, store)
        self.base_read, started = progress.base, time.monotonic()
        if self.samples:
            self.read_due = Due(run.params.steps, every, self.samples.looks)
            self.base_read = self.base_read or self._read_base()
        self.writer = CheckpointWriter(
            run.checkpoints,
            rank,
            world,
            _from_rank_0(lambda: uuid.uuid4().hex[:8]),
            execution.checkpoint_keep,
            self.engine.shapes,
            self._keep_milestone,
        )
        self.bytes = STATE_BYTES * sum(math.prod(shape) for shape in self.engine.shapes.values())
        self.meetings = Meetings(self.step)
        self.eyes: Eyes | None = None
        if rank == 0:
            stage, points = self.engine.zero_stage, self.curve.points
            self.eyes = Eyes(
                run, execution, self.order, world, self.step, work, stage, self.base_read, points
            )
            self.eyes.record.looks_s = time.monotonic() - started if self.samples else 0.0
        self.saved_at = time.monotonic()
        self.told: str | None = None

    def _tell_start(self) -> None:
        """What positions are before the first step and how far they can go; ZeRO 3 needs every rank."""
        if self.rank and self.engine.zero_stage != 3:
            return
        ids_1T = torch.from_numpy(self.order.batch(0, 0, 1)).to(self.engine.device)
        look = health.positions(self.engine.model, ids_1T)
        if look and self.rank == 0:
            say(self.run.folder, positions_line(look, ids_1T.shape[1], self.run.params))
            travel = map_travel(self.run.params)
            write_json(self.run.folder / START, {"map_travel": travel, "positions": look})

    def go(self) -> bool:
        """Train to the end; returns False where it was asked to stop first."""
        while self.step < self.run.params.steps:
            if not self.take_step():
                return False
        if self.execution.dry_run:
            return True
        if self.saved_step < self.step:
            self.save()
        self._finish_writing()
        if self.eyes:  # the other ranks are done and wait for nobody
            with self.watchdog.own_work("exporting the model"):
                last = checkpoint.whole(self.run.checkpoints, self.step)
                export(self.run, last, self.curve.points)
                self.eyes.close()
        return True

    def take_step(self) -> bool:
        """One optimizer step and all that belongs to it; returns whether to go on."""
        self.watchdog.beat(f"step {self.step + 1}")
        self._advance()
        point = self.curve.at_point(self.step)
        if point:
            lr = self.run.params.lr * schedule(self.run.params, self.step - 1)
            if self.curve.close_point(self.step, self.order.tokens_before(self.step), lr):
                read = self._read() if self.samples and self.read_due.at(self.step) else {}
                if self.eyes:
                    norm = self.engine.gradient_norm
                    self.curve.points[-1] |= self.eyes.of_point(self.step, norm, read)
        due = point or self._milestone() or self.step >= self.meetings.next_step
        return self._meet() if due else True

    def save(self) -> None:
        """Begin a checkpoint of this step; every rank calls it."""
        self.watchdog.beat(f"saving step {self.step}")
        position = self.order.position(self.step)
        progress = Progress(position, **self.curve.state(), base=self.base_read)
        with self.watchdog.own_work(f"copying step {self.step}"):
            self.writer.save(self.engine.fragments(), progress)
        self.saved_step, self.saved_at = self.step, time.monotonic()

    def _last_checkpoint(self) -> checkpoint.Good | None:
        """All look for it, each at its share of the hashes, and go on from the one that was found."""
        if self.rank == 0:
            checkpoint.sweep(self.run.checkpoints)
        verdicts: dict[Path, str | None] = {}
        for found in _from_rank_0(lambda: checkpoint.newest_first(self.run.checkpoints)):
            with self.watchdog.own_work(f"checking {found.name}"):
                mine = checkpoint.damage_of(found, self.rank, self.world)
            said: list[str | None] = [None] * self.world
            dist.all_gather_object(said, mine)
            verdicts[found] = next(filter(None, said), None)
            if verdicts[found] is None:
                break
        good = _from_rank_0(lambda: checkpoint.latest(self.run.checkpoints, verdicts.__getitem__))
        if good and self.rank == 0:
            for line in good.damaged:
                say(self.run.folder, line)
            position = good.progress.position
            say(self.run.folder, f"resumed at step {position.step}, token {position.tokens}")
        return good

    def _advance(self) -> None:
        """One optimizer step on this rank's rows of the global batch."""
        self.engine.scale_learning_rates(schedule(self.run.params, self.step))
        looking = self.positions_due.at(self.step + 1)
        gradients: health.Look = {}

        def read_gradients() -> None:
            gradients.update(health.map_gradients(self.engine.model))

        before = read_gradients if looking else None
        rows = self.order.rows(self.step) // (self.world * self.parts)
        losses: list[Tensor] = []
        for part in range(self.parts):
            first = (self.rank * self.parts + part) * rows
            ids = self.order.batch(self.step, first, rows)
            rule = self.run.params.repetition
            keep_B = torch.from_numpy(varied(ids, rule)) if rule else None
            losses.append(self.engine.accumulate(torch.from_numpy(ids), keep_B, before))
        phase = self.order.phase(self.step).index
        self.curve.add(torch.stack(losses).mean(), phase, self.engine.skipped_last)
        if looking and (self.eyes or self.engine.zero_stage == 3):
            row = torch.from_numpy(self.order.batch(self.step, 0, 1)).to(self.engine.device)
            look = health.positions(self.engine.model, row)
            if self.eyes:
                self.eyes.look({**look, **gradients})
        self.step += 1

    def _read(self) -> held_out.Figures:
        """Held-out loss and the probe of the model as it is; every rank calls it."""
        assert self.samples
        started, doing = time.monotonic(), f"reading held-out text after step {self.step}"
        found = self._look(self.engine.scores, doing)
        if self.eyes:
            self.eyes.record.looks_s += time.monotonic() - started
        return found

    def _look(self, scores: held_out.Scores, doing: str) -> held_out.Figures:
        """Figures of all rows; each row is a sign of life."""
        assert self.samples

        def alive(ids_1T: Tensor) -> tuple[Tensor, Tensor]:
            self.watchdog.beat(doing)
            return scores(ids_1T)

        return held_out.look(self.samples.rows, alive, self.engine.device)

    def _read_base(self) -> held_out.Figures:
        """The same of the base model, once, before the first step."""
        assert self.samples and self.run.base
        if self.rank == 0:
            held_out.write(self.run.folder, self.samples.rows)
        with self.watchdog.own_work("reading the base model"):
            base = load_model(self.run.base, self.run.base.name)
        dtype = torch.bfloat16 if self.run.params.precision == "bf16" else torch.float32
        base.to(self.engine.device, dtype)
        found = self._look(scores_of(base), "reading held-out text with the base")
        if self.rank == 0:
            probed = f", the probe {found[held_out.PROBE]:.0%}" if held_out.PROBE in found else ""
            losses = [v for name, v in found.items() if name != held_out.PROBE]
            mean = f"held-out loss {math.fsum(losses) / len(losses):.3f}" if losses else "no text"
            say(
                self.run.folder,
                f"the base: {mean}{probed}; {self.samples.looks} looks at both in this run",
            )
        return found

    def _meet(self) -> bool:
        """Count, show, agree whether to save or stop; returns whether to go on."""
        self.curve.look()
        if self.eyes:
            self._tell_failed_write()
            self.eyes.show(self.step, self.curve, self.writer)
        self._stop_if_broken()
        # Rank 0 alone looks: another rank that took SAVE away first would leave nothing to decide on.
        asked = self.rank == 0 and (self.run.folder / STOP).exists()
        due = self.rank == 0 and self._due()
        agreed = self.meetings.hold(self.step, due, asked, self.engine.device)
        if (agreed.save or agreed.stop) and self.step < self.run.params.steps:
            self.save()
        if not agreed.stop or self.step >= self.run.params.steps:
            return True
        self._finish_writing()
        if self.rank == 0:
            write_json(self.run.folder / STOPPED, {"step": self.step})
        return False

    def _milestone(self) -> bool:
        return milestones.due(self.step, self.execution.milestone_steps)

    def _keep_milestone(self, saved: Path, step: int) -> None:
        """In the writing thread of rank 0."""
        if milestones.due(step, self.execution.milestone_steps):
            dtype = torch.bfloat16 if self.run.params.precision == "bf16" else torch.float32
            config = self.engine.model.config
            frozen = self._frozen()
            milestones.write(saved, self.run.checkpoints, step, config, dtype, frozen)

    def _frozen(self) -> dict[str, Tensor]:
        """Weights that are not trained; ZeRO 3 has cut them up, so the model is built again there."""
        model = self.engine.model
        if self.engine.zero_stage == 3 and any(trainable.frozen(model)):
            model = self.run.build()
            trainable.freeze(model, self.run.params)
        return dict(trainable.frozen(model))

    def _due(self) -> bool:
        """Whether a checkpoint is wanted now; rank 0 alone is asked, for the question takes SAVE away.

        None while steps are bad: they would push out the last good one.
        """
        if self.curve.spikes.in_a_row or self.execution.dry_run:
            return False
        if self._milestone():
            return True
        if (self.run.folder / SAVE).exists():
            (self.run.folder / SAVE).unlink(missing_ok=True)
            return True
        if self.writer.busy:
            return False
        if every := self.execution.checkpoint_steps:
            return self.step // every > self.saved_step // every
        cost = self.writer.last_stall_s + self.writer.last_write_s
        wait = pause(self.execution.checkpoint_seconds, cost, self.bytes)
        return time.monotonic() - self.saved_at > wait

    def _finish_writing(self) -> None:
        """Wait for the last checkpoint; one that could not be written is the user's to fix."""
        with self.watchdog.own_work("writing the checkpoint"):
            self.writer.wait()
        dist.barrier()
        line = _from_rank_0(lambda: self.writer.failure and self._not_written())
        if line:
            raise UserError(f"{line}; make room and run again")

    def _tell_failed_write(self) -> None:
        """Say once, until one is written, that a checkpoint could not be; training goes on."""
        if not self.writer.busy and bool(self.writer.failure) != bool(self.told):
            self.told = self.writer.failure
            if self.told:
                say(self.run.folder, f"{self._not_written()}; training goes on")

    def _not_written(self) -> str:
        return (
            f"REPO_RUNS: the checkpoint of step {self.saved_step} could not be written to "
            f"{self.run.checkpoints}: {self.writer.failure}; the earlier one stays good"
        )

    def _stop_if_broken(self) -> None:
        limit, bad = self.execution.spikes_in_a_row, self.curve.spikes.in_a_row
        if not limit or bad < limit:
            return
        with self.watchdog.own_work("writing the checkpoint"):
            self.writer.wait()
        dist.barrier()
        good = _from_rank_0(lambda: checkpoint.latest(self.run.checkpoints))
        raise UserError(
            f"lr is {self.run.params.lr}: {bad} bad steps in a row up to step {self.step} (loss "
            f"{self.curve.last_loss:.4g}, {self.curve.skipped} skipped, {self.curve.spikes.total} "
            f"spikes); lower it (REPO_SPIKES); last good checkpoint: {good.folder if good else 'none'}"
        )


Found = TypeVar("Found")


def _from_rank_0(find: Callable[[], Found]) -> Found:
    """What rank 0 found, on every rank; a ``UserError`` there is raised on all, so that none waits."""
    found: list[Any] = [None]
    if dist.get_rank() == 0:
        try:
            found = [find()]
        except UserError as error:
            found = [error]
    dist.broadcast_object_list(found, src=0)
    if isinstance(found[0], UserError):
        raise found[0]
    return found[0]


def _say(run: Run, rank: int, line: str) -> None:
    say(run.folder, f"rank {rank} {line}")
