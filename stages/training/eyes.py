"""What rank 0 shows while it trains: the live figures for the driver's line, metrics and alarms."""

import contextlib
import csv
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stages.common.files import write_json
from stages.training.curve import Curve
from stages.training.engine import Engine
from stages.training.execution import Execution
from stages.training.flops import Work, peak, peak_memory
from stages.training.health import Alarms, Look
from stages.training.metrics import Metrics
from stages.training.notices import say
from stages.training.order import DataOrder
from stages.training.run import LIVE, Run
from stages.training.writer import CheckpointWriter

LIVE_SECONDS = 2.0


class Eyes:
    """Rank 0's view of the run."""

    def __init__(
        self,
        run: Run,
        execution: Execution,
        order: DataOrder,
        world: int,
        step: int,
        work: Mapping[int, Work],
    ) -> None:
        self._run, self._order, self._world, self._work = run, order, world, work
        self._alarms = Alarms(run.params.steps, run.params.grad_clip, _losses(run.reference_curve))
        self._metrics = Metrics(run.folder, step, execution)
        self._peak = peak()
        self._look: Look = {}
        self._started = self._shown = time.monotonic()
        self._mark = (step, self._started)
        self._points = 0
        self._spikes = 0
        self._skipped = 0

    def look(self, step: int, look: Look) -> None:
        """Figures of ``health`` after ``step``."""
        self._look = {**look, "step": step} if look else {}
        length = self._order.phase(step - 1).length
        self._tell(self._alarms.of_look(step, length, look))

    def show(self, step: int, curve: Curve, engine: Engine, writer: CheckpointWriter) -> None:
        """Write the live figures every ``LIVE_SECONDS`` and a metrics row for each new point."""
        now = time.monotonic()
        if curve.spikes.total > self._spikes or curve.skipped > self._skipped:
            self._spikes, self._skipped = curve.spikes.total, curve.skipped
            self._tell(
                [
                    f"step {step}: loss {curve.last_loss:.4g}; so far {self._spikes} loss spikes, "
                    f"{self._skipped} steps skipped for gradients that were not finite"
                ]
            )
        new_point = bool(curve.points) and len(curve.points) != self._points
        late = now - self._shown > LIVE_SECONDS
        if not (new_point or late):
            return
        speed = self._speed(step, now)
        if late or self._points == 0:
            self._shown = now
            live = {
                "step": step,
                "steps": self._run.params.steps,
                "tokens": self._order.tokens_before(step),
                "loss": curve.last_loss if curve.last_loss == curve.last_loss else None,
                **speed,
            }
            with contextlib.suppress(OSError):  # a full disk
                write_json(self._run.folder / LIVE, live)
            self._mark = (step, now)
        if new_point:
            self._points = len(curve.points)
            self._tell(self._alarms.of_curve(curve.points))
            self._metrics.add(
                {
                    **curve.points[-1],
                    **speed,
                    "peak_memory_gib": round(peak_memory() / 2**30, 3),
                    "gradient_norm": engine.gradient_norm,
                    "spikes": curve.spikes.total,
                    "skipped": curve.skipped,
                    "checkpoint_stall_share": writer.stall_s / max(now - self._started, 1e-9),
                    "alarms": self._alarms.ringing,
                    **{f"repo.{name}": value for name, value in self._look.items()},
                }
            )
            self._look = {}

    def close(self) -> None:
        """Flush the metrics."""
        self._metrics.close()

    def _speed(self, step: int, now: float) -> dict[str, Any]:
        """Tokens per second since the last live figures, per worker, and as shares of the peak."""
        first, since = self._mark
        tokens = self._order.tokens_before(step) - self._order.tokens_before(first)
        rate = tokens / max(now - since, 1e-9) / self._world
        found: dict[str, Any] = {
            "tokens_per_s_per_worker": round(rate, 1),
            "s_per_step": round((now - since) / max(step - first, 1), 4),
        }
        if self._peak is not None:
            work = self._work[self._order.phase(step - 1).length]
            found["mfu_causal"] = round(rate * work.causal / self._peak, 4)
            found["mfu_full"] = round(rate * work.full / self._peak, 4)
        return found

    def _tell(self, lines: list[str]) -> None:
        for line in lines:
            say(self._run.folder, line)


def _losses(curve: Path | None) -> dict[int, float]:
    """Loss by step of another run's curve; nothing where there is none."""
    if curve is None or not curve.is_file():
        return {}
    with open(curve, newline="", encoding="utf-8") as file:
        return {int(row["step"]): float(row["loss"]) for row in csv.DictReader(file)}
