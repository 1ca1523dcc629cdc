"""How fast this machine's cores were at the trainings and evaluations that it has done.

What a core does with a model varies tenfold with its instructions and the model's size, and no table
knows them all. So the end of a stage that ran whole here keeps the FLOP/s that it came to, in
``REPO_RUNS/speeds.json``, and the next plan reckons with them where model, precision and cores are the
same. GPUs are reckoned by their peak and MFU (``--mfu``).
"""

import contextlib
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from pipeline.check import read
from stages.common import runs
from stages.common.cost import Cost
from stages.common.cpu import name as cpu_name
from stages.common.errors import UserError
from stages.common.files import read_json, write_json
from stages.common.ray_session import cores
from stages.common.seen import this_machine

FILE = "speeds.json"
GROUPS = {
    "base": "train", "train": "train", "evaluate_base": "evaluate", "evaluate": "evaluate",
}  # fmt: skip
"""Stages whose speeds are alike, by what they do."""
START_S = 12.0
"""Of a stage with a model on CPU: imports, Ray's workers, reading the weights (measured: 8 to 20)."""
LEAST_S = 2 * START_S
"""A shorter stage tells more of its start than of its work."""
ALIKE = 0.2
"""A model of so many more or fewer parameters is as fast: maps come on top of a variant's."""
KEPT = 50
"""Speeds that the file holds, the latest."""


@dataclass(frozen=True)
class Speed:
    """What a stage came to."""

    stage: str
    group: str
    parameters: int
    assumed: float
    """FLOP/s of a core by the table: stands for precision and size."""
    flops: float
    """FLOP/s of a core as measured."""
    cores: int
    cpu: str
    when: str


def speeds() -> list[Speed]:
    """Those of this machine's kind of core, the latest first."""
    return [speed for speed in reversed(_kept()) if speed.cpu == cpu_name()]


def speed_of(stage: str, cost: Cost, known: Iterable[Speed]) -> Speed | None:
    """The latest measured speed for such work."""
    group = GROUPS.get(stage.partition("@")[0])
    for speed in known:
        alike = abs(speed.parameters - (cost.parameters or 0)) <= ALIKE * speed.parameters
        if alike and (speed.group, speed.assumed) == (group, cost.core_flops):
            return speed
    return None


def begun(stage: str) -> bool:
    """Whether an earlier, unfinished run left something that this stage may go on from."""
    kind = stage.partition("@")[0]
    return kind in GROUPS and any(
        _label(state) == stage for state in runs.root().glob(f"{kind}/*/{runs.STATE}")
    )


def keep(root: Path, stage: str, seconds: float) -> None:
    """Remember what a stage of the checkout at ``root`` came to; it ran whole, in ``seconds``."""
    from pipeline.estimate.estimate import cost_here

    group = GROUPS.get(stage.partition("@")[0])
    if group is None or seconds < LEAST_S or os.environ.get("RAY_ADDRESS"):
        return
    with contextlib.suppress(UserError, OSError):
        if this_machine(os.environ).gpus:
            return
        cost = cost_here(stage, read(root))
        if not cost.flops or not cost.core_flops or not cost.parameters:
            return
        here = cores()
        working = min(cost.cores or here, here)
        speed = Speed(
            stage=stage,
            group=group,
            parameters=cost.parameters,
            assumed=cost.core_flops,
            flops=float(f"{cost.flops / (seconds - START_S) / working:.3g}"),
            cores=working,
            cpu=cpu_name(),
            when=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        kept = [*_kept(), speed][-KEPT:]
        write_json(runs.root() / FILE, [asdict(one) for one in kept])


def _kept() -> list[Speed]:
    with contextlib.suppress(UserError, OSError, TypeError):
        return [Speed(**row) for row in read_json(runs.root() / FILE)]
    return []


def _label(state: Path) -> str | None:
    with contextlib.suppress(UserError, OSError, AttributeError):
        return str(read_json(state).get("label"))
    return None
