"""Hours, money and memory of each stage: its cost (``stages.<name>.cost``) on a machine."""

import importlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Protocol

from pipeline.cluster_file import ClusterFile
from pipeline.estimate.fitting import fits, remedy
from pipeline.estimate.machines import (
    BANDWIDTH_SHARE,
    CORE_FLOPS,
    DECODE_PASS_S,
    NETWORK_BYTES_PER_S,
    Machine,
    layout,
    machine,
)
from pipeline.estimate.measured import START_S, Speed, speed_of, speeds
from pipeline.schedule import Schedule, simulate
from stages.common.cost import Cost, Layout, Memory
from stages.common.findings import Finding
from stages.common.variables import whole
from stages.params import Params
from stages.training.planned import Data, travels

RUNS = ("run", "maybe")
"""Actions of a plan that cost time; what is restored or up to date costs none."""


class Decided(Protocol):
    """``pipeline.plan.Decision``."""

    @property
    def action(self) -> str:
        """What would be done."""

    @property
    def reason(self) -> str:
        """Why."""


@dataclass(frozen=True)
class Row:
    """A stage: what a run would do to it and what that takes, all devices working on it."""

    name: str
    action: str
    why: str
    cost: Cost
    hours: tuple[float, float, float] | None
    """At the highest, the middle and the lowest MFU."""
    money: float | None
    fits: bool | None
    """Whether training fits into a GPU's memory, with a tenth to spare."""
    speed: Speed | None = None
    """What this machine's cores came to at such work; none: the table's."""
    remedy: str | None = None
    """What would make a training fit that does not."""

    @property
    def runs(self) -> bool:
        """Whether it would (or may) run."""
        return self.action in RUNS


@dataclass(frozen=True)
class Estimate:
    """All stages of a plan on a machine."""

    rows: list[Row]
    machine: Machine
    layout: Layout
    warnings: tuple[Finding, ...] = ()
    """What the checks of the stages say and let pass."""
    times: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """Start and end of each stage, hours from now (``pipeline.schedule``)."""
    data: Data | None = None
    """What the trainings take of each source."""
    positions: tuple[str, ...] = ()
    """How far each variant's schedule lets its position maps travel."""
    notes: tuple[str, ...] = ()
    """What followed from what was set (``pipeline.overrides``)."""

    def as_json(self) -> dict[str, Any]:
        """``{stages, totals, machine, details}``; totals are of what would run.

        ``stages`` has what every plan has; ``details`` has, by stage, the ends of its hours, the parts
        of its memory and notes.
        """
        low, high = self.machine.mfu
        return {
            "stages": [_json(row) for row in self.rows],
            "details": {row.name: _details(row) for row in self.rows},
            "totals": self.totals(),
            "schedule": [
                {"name": name, "start": start, "end": end}
                for name, (start, end) in self.times.items()
            ],
            "first_score_hours": self.first_score and self.first_score[1],
            "data": self.data and self.data.as_json(),
            "positions": list(self.positions),
            "notes": list(self.notes),
            "warnings": [one.line for one in self.warnings],
            "machine": {
                "gpu": self.machine.gpu,
                "gpus": self.machine.gpus,
                "cpus": self.machine.cores,
                "price": self.machine.price,
                "mfu": {"low": low, "high": high, "measured": self.machine.measured},
                "zero_stage": self.layout.zero_stage,
                "micro_batch_tokens": self.layout.micro_batch_tokens,
            },
        }

    @property
    def first_score(self) -> tuple[str, float] | None:
        """The first trained model's evaluation that would run, and when it ends."""
        measured = ((n, end) for n, (_, end) in self.times.items() if n.startswith("evaluate@"))
        return min(measured, key=lambda one: one[1], default=None)

    def totals(self) -> dict[str, Any]:
        """Sums over the stages that would run, one after the other."""
        rows = [row for row in self.rows if row.runs]
        hours = [row.hours for row in rows if row.hours]
        return {
            "run": len(rows),
            "tokens": sum(row.cost.tokens or 0 for row in rows),
            "steps": sum(row.cost.steps or 0 for row in rows),
            "flops": sum(row.cost.flops or 0 for row in rows),
            "hours": sum(middle for _, middle, _ in hours),
            "hours_low": sum(least for least, _, _ in hours),
            "hours_high": sum(most for _, _, most in hours),
            "cost": None if self.machine.price is None else sum(row.money or 0 for row in rows),
            "disk_bytes": round(sum(row.cost.disk_bytes or 0 for row in rows)),
            "fetch_bytes": round(sum(row.cost.fetch_bytes for row in rows)),
        }


def estimate(params: Params, decisions: Mapping[str, Decided], described: ClusterFile) -> Estimate:
    """Reckon every stage of ``decisions`` (in the graph's order) on the machines described."""
    on, training = machine(described), params.base.training
    muon = "muon" in (params.train.optimizer, training and training.optimizer)
    how = layout(described, params.train, muon)
    rows, known = [], speeds() if on.is_here else []
    for name, decision in decisions.items():
        cost = _cost(name, params, how)
        speed = speed_of(name, cost, known)
        hours = _hours(replace(cost, core_flops=speed.flops) if speed else cost, on)
        money = None if on.price is None or hours is None else hours[1] * on.devices * on.price
        fitting, fix = None, None
        if cost.memory and on.memory_bytes:
            fitting = fits(cost.memory, on.memory_bytes)
            if not fitting:
                fix = remedy(partial(_memory, name, params), how, on.memory_bytes, muon)
        row = Row(name, decision.action, decision.reason, cost, hours, money, fitting, speed, fix)
        rows.append(row)
    return Estimate(
        rows, on, how, positions=tuple(travels(params, {row.name for row in rows if row.runs}))
    )


def cost_here(name: str, params: Params) -> Cost:
    """What a stage takes on this machine's cores."""
    return _cost(name, params, layout(ClusterFile(), params.train, muon=False))


def heavy(names: Iterable[str], params: Params) -> frozenset[str]:
    """Stages that take the devices: they have FLOPs, or a model whose shape is not known offline."""
    how = Layout(1, 1, 16384, False, 16384)
    costs = {name: _cost(name, params, how) for name in names}
    return frozenset(name for name, cost in costs.items() if cost.flops or cost.note)


def scheduled(found: Estimate, params: Params, upstream: Mapping[str, Sequence[str]]) -> Estimate:
    """The estimate with what runs when, by the same rule as a run."""
    hours = {row.name: row.hours[1] for row in found.rows if row.hours and row.runs}
    names = [row.name for row in found.rows if row.runs]
    slots, items = whole("REPO_PARALLEL_STAGES"), whole("REPO_PARALLEL_TRAININGS")
    plan = Schedule(names, upstream, heavy(names, params), slots, items)
    return replace(found, times=simulate(plan, hours))


def _cost(name: str, params: Params, how: Layout) -> Cost:
    """The stage's own reckoning; a stage without ``cost.py`` takes next to nothing."""
    stage, _, item = name.partition("@")
    module = f"stages.{stage}.cost"
    try:
        own = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name not in (module, f"stages.{stage}"):
            raise
        return Cost()
    cost: Cost = own.cost(params, item.rpartition("-")[0] or None, how)
    return cost


def _memory(name: str, params: Params, how: Layout) -> Memory:
    found = _cost(name, params, how).memory
    assert found is not None
    return found


def _hours(cost: Cost, on: Machine) -> tuple[float, float, float] | None:
    if cost.flops is None and cost.core_seconds is None:
        return None
    aside = (cost.core_seconds or 0.0) / on.cores + cost.fetch_bytes / NETWORK_BYTES_PER_S
    if on.bandwidth:
        read = cost.decode_bytes / (on.bandwidth * BANDWIDTH_SHARE)
        aside += max(cost.decode_passes * DECODE_PASS_S, read) / on.devices
    if not on.gpus:
        cores = min(cost.cores or on.cores, on.cores)
        work = (cost.flops or 0.0) / (cores * (cost.core_flops or CORE_FLOPS))
        alone = (work + aside + (START_S if cost.parameters else 0.0)) / 3600
        return alone, alone, alone
    low, high = on.mfu
    least, middle, most = (
        ((cost.flops or 0.0) / (on.devices * on.flops * mfu) + aside) / 3600
        for mfu in (high, on.mfu_middle, low)
    )
    return least, middle, most


def _json(row: Row) -> dict[str, Any]:
    cost, memory = row.cost, row.cost.memory
    return {
        "name": row.name,
        "run": row.runs,
        "why": row.why,
        "tokens": cost.tokens,
        "steps": cost.steps,
        "flops": cost.flops,
        "parameters": cost.parameters,
        "memory_per_gpu_bytes": memory and round(memory.total),
        "hours": row.hours and row.hours[1],
        "cost": row.money,
        "disk_bytes": cost.disk_bytes and round(cost.disk_bytes),
    }


def _details(row: Row) -> dict[str, Any]:
    memory = row.cost.memory
    return {
        "action": row.action,
        "hours_low": row.hours and row.hours[0],
        "hours_high": row.hours and row.hours[2],
        "memory_parts_bytes": memory and {part: round(size) for part, size in vars(memory).items()},
        "fits": row.fits,
        "measured_core_flops": row.speed and row.speed.flops,
        "note": row.cost.note,
    }
