"""What rank 0 shows while it trains: the live figures for the driver's line, metrics and alarms."""

import contextlib
import csv
import math
import statistics
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from stages.common.files import write_json
from stages.training.curve import Curve
from stages.training.execution import Execution
from stages.training.flops import Work, peak, peak_memory
from stages.training.health import SETTLED_SHARE, Alarms, Look
from stages.training.held_out import Figures, troubles
from stages.training.metrics import Metrics
from stages.training.notices import say
from stages.training.order import DataOrder
from stages.training.record import Record
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
        zero_stage: int,
        base: Figures,
        points: Sequence[Mapping[str, Any]],
    ) -> None:
        """``base``: figures of the base model; ``points``: of the curve up to ``step``."""
        self._run, self._order, self._world, self._work = run, order, world, work
        self._alarms = Alarms(run.params.steps, run.params.grad_clip, _losses(run.reference_curve))
        self._base, self._lowest = base, dict[str, float]()
        self._metrics = Metrics(run.folder, step, execution)
        self.record = Record(run.folder, execution, world, zero_stage, step)
        self._peak = peak()
        self._look: Look = {}
        self._started = self._shown = time.monotonic()
        self._mark = (step, self._started)
        self._seen_live = False
        self._points = len(points)
        for point in points:  # what rang before a restart rings on, untold
            self._hear(point)
        self._spikes = 0
        self._skipped = 0

    def look(self, look: Look) -> None:
        """Figures of ``health``, for the curve's next point."""
        self._look = look

    def of_point(self, step: int, norm: float | None, read: Figures) -> dict[str, Any]:
        """What is seen at the curve's point of ``step``, told and as columns of the curve.

        ``norm``: of the gradient before clipping; ``read``: of held-out text and the probe. All of it
        follows from the params and the data: a restart gives the same.
        """
        seen: dict[str, Any] = {} if norm is None else {"gradient_norm": norm}
        seen |= {f"z.{name}": value for name, value in self._look.items()}
        for figure, over in (("range", max), ("std", statistics.fmean)):
            layers = [v for name, v in self._look.items() if name.endswith(f".{figure}")]
            seen |= {f"z.{figure}": over(layers)} if layers else {}
        seen |= read | {f"base.{name}": self._base[name] for name in read if name in self._base}
        # JSON holds no infinity.
        seen = {n: float(f"{v:.9g}") if math.isfinite(v) else str(v) for n, v in seen.items()}
        self._tell(self._hear({"step": step, **seen}))
        self._look = {}
        return {**seen, "ringing": " ".join(self._alarms.names)}

    def _hear(self, point: Mapping[str, Any]) -> list[str]:
        """Alarms of a point of the curve."""
        step = int(point["step"])
        look = {n.removeprefix("z."): float(v) for n, v in point.items() if n.startswith("z.")}
        read = {n: float(v) for n, v in point.items() if n.startswith("held_out.") or n == "probe"}
        lines: list[str] = []
        if look:
            lines += self._alarms.of_look(step, self._order.phase(step - 1).length, look)
        settled = step >= SETTLED_SHARE * self._run.params.steps
        for trouble in troubles(read, self._base, self._lowest, settled):
            lines += self._alarms.ring(*trouble)
        for name, value in read.items():
            self._lowest[name] = min(value, self._lowest.get(name, value))
        return lines

    def show(self, step: int, curve: Curve, writer: CheckpointWriter) -> None:
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
        if late or not self._seen_live:
            self._shown, self._seen_live = now, True
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
            memory = round(peak_memory() / 2**30, 3)
            self.record.add(step, speed["tokens_per_s_per_worker"], memory)
            self._metrics.add(
                {
                    "gradient_norm": None,  # ZeRO 0 tells none
                    **curve.points[-1],
                    **speed,
                    "peak_memory_gib": memory,
                    "spikes": curve.spikes.total,
                    "skipped": curve.skipped,
                    "checkpoint_stall_share": writer.stall_s / max(now - self._started, 1e-9),
                    "alarms": self._alarms.ringing,
                }
            )

    def close(self) -> None:
        """Flush the metrics and say what looking cost."""
        self._metrics.close()
        if self.record.looks_s:
            share = self.record.looks_s / max(self.record.seconds, 1e-9)
            say(
                self._run.folder,
                f"looks at held-out text and the probe took {self.record.looks_s:.1f} s, "
                f"{share:.2%} of the time",
            )

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
