"""The machines a plan reckons with, and how fast they are believed to be."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files

from pipeline.cluster_file import ClusterFile
from stages.common.cost import Layout
from stages.common.cpu import EMULATED, FP32_FLOPS, TOY_FLOPS, bf16_flops, fast_bf16
from stages.common.errors import UserError
from stages.common.ray_session import cores as cores_here
from stages.common.variables import flag, span, whole
from stages.training.cpu_workers import cpu_workers
from stages.training.params import TrainingParams

MFU_LOW, MFU_HIGH = 0.356, 0.50
"""Causal MFU that is assumed where none was measured: AI2's own OLMo-2 1B run, end to end (41.5 K
tok/s on an H100), and what good loops reach (58.3 K); PERFORMANCE.md, anchors."""
CORE_FLOPS = TOY_FLOPS
"""Per CPU core; a stage that knows its model and precision says another (``stages.common.cpu``)."""
CORES_PER_GPU = 16
DECODE_PASS_S = 0.0176
"""Least time of a decoding pass: launch-bound (PAPER.md section 1, OLMo-2 1B)."""
NETWORK_BYTES_PER_S = 100e6
"""What is fetched comes at so much (assumed: a link of 1 Gbit/s)."""
BANDWIDTH_SHARE = 0.6
"""Of the peak that decoding reaches (assumed)."""


@dataclass(frozen=True)
class Machine:
    """What computes, per GPU unless it says otherwise; without GPUs the cores are the device."""

    gpu: str | None
    gpus: int
    cores: int
    """CPU cores in all."""
    flops: float
    """Peak, dense bf16, FLOP/s of one device."""
    memory_bytes: float | None
    bandwidth: float | None
    """Bytes/s."""
    price: float | None
    """Of one device for an hour."""
    mfu: tuple[float, float]
    """Lowest and highest believed."""
    measured: bool
    is_here: bool = False
    """Whether these are the cores of this machine."""

    @property
    def devices(self) -> int:
        """GPUs, or one machine of cores."""
        return self.gpus or 1

    @property
    def mfu_middle(self) -> float:
        """What single figures are reckoned with: hours half-way between both ends."""
        low, high = self.mfu
        return 2 / (1 / low + 1 / high)

    def describe(self) -> str:
        """One line: what it is and what is assumed."""
        if not self.gpus:
            bf16 = (
                f"{bf16_flops() / 1e9:.0f} in bf16"
                if fast_bf16()
                else f"bf16 emulated, {EMULATED} times slower"
            )
            return (
                f"{self.cores} CPU cores at {TOY_FLOPS / 1e9:.0f} (toys) to {FP32_FLOPS / 1e9:.0f} "
                f"GFLOP/s, {bf16} (assumed)"
            )
        low, high = self.mfu
        share = f"{low:.1%} (measured)" if self.measured else f"{low:.1%} to {high:.1%} (assumed)"
        return (
            f"{self.gpus} x {self.gpu} at {self.flops / 1e12:,.0f} TFLOP/s bf16, MFU-causal {share}"
        )


def machine(described: ClusterFile) -> Machine:
    """The machine of a cluster file (or of the options that make one); raises ``UserError``."""
    if described.gpu is None and described.gpus == 0:
        cores = described.cpus or cores_here()
        return Machine(
            gpu=None,
            gpus=0,
            cores=cores,
            flops=cores * CORE_FLOPS,
            memory_bytes=None,
            bandwidth=None,
            price=described.price,
            mfu=(1.0, 1.0),
            measured=False,
            is_here=described.cpus is None and described.address is None,
        )
    table = json.loads((files("pipeline.estimate") / "gpus.json").read_text(encoding="utf-8"))
    kind = (described.gpu or "").lower()
    if kind not in table:
        raise UserError(f"gpu is {described.gpu!r}: unknown; there are {', '.join(table)}")
    if described.gpus < 1:
        raise UserError(f"gpus is {described.gpus}: with gpu {kind!r} give at least 1")
    return Machine(
        gpu=kind,
        gpus=described.gpus,
        cores=described.cpus or CORES_PER_GPU * described.gpus,
        flops=table[kind]["flops"],
        memory_bytes=table[kind]["memory_bytes"],
        bandwidth=table[kind]["bandwidth"],
        price=described.price,
        mfu=(described.mfu, described.mfu) if described.mfu else (MFU_LOW, MFU_HIGH),
        measured=described.mfu is not None,
    )


def layout(described: ClusterFile, params: TrainingParams, muon: bool) -> Layout:
    """How the work is shared out there: the cluster file's ``REPO_*``, else the environment's."""
    settings = {**os.environ, **described.environment}
    stage = 0 if muon else whole("REPO_ZERO", environment=settings)
    compiled = described.gpus > 0 and stage != 3  # as ``training.execution`` has it
    return Layout(
        workers=described.gpus or _workers_on_cpu(params, described.cpus or cores_here(), settings),
        on_cpu=not described.gpus,
        zero_stage=stage,
        micro_batch_tokens=whole("REPO_MICRO_BATCH_TOKENS", environment=settings),
        gradient_checkpointing=flag("REPO_GRADIENT_CHECKPOINTING", environment=settings),
        eval_batch_tokens=whole("REPO_EVAL_BATCH_TOKENS", environment=settings),
        offload=flag("REPO_OFFLOAD", environment=settings),
        compiled=flag("REPO_COMPILE", compiled, settings),
        checkpoints=whole("REPO_CHECKPOINT_KEEP", environment=settings),
        milestone_steps=whole("REPO_CHECKPOINT_MILESTONES", environment=settings),
    )


def _workers_on_cpu(params: TrainingParams, cores: int, settings: Mapping[str, str]) -> int:
    """As ``stages.training.launch`` has it."""
    asked = span("REPO_WORKERS", settings)
    return asked[1] if asked else cpu_workers(params, cores)
