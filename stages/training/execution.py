"""How a training run is executed: read from the environment, never part of a result's identity."""

import importlib.util
import os
from dataclasses import dataclass
from typing import cast

from stages.common.errors import UserError
from stages.common.variables import flag, span, value, whole
from stages.training.attention import Attention
from stages.training.cpu_workers import LEAST
from stages.training.objective import Kernel
from stages.training.params import TrainingParams


@dataclass(frozen=True)
class Execution:
    """Workers and their settings; the global batch stays the same whatever they are."""

    workers: int
    """``REPO_WORKERS``: Ray Train workers, one GPU each where there are GPUs; of ``1-2``, the most."""
    use_gpu: bool
    """``REPO_USE_GPU``: 1 or 0, by default whether Ray sees a GPU."""
    least_workers: int | None = None
    """``REPO_WORKERS=1-2``: train on with this few when nodes are gone; none: a fixed number."""
    zero_stage: int | None = None
    """``REPO_ZERO``: DeepSpeed ZeRO stage, 0 to 3; by default 1 (Muon: 0)."""
    offload: bool = False
    """``REPO_OFFLOAD``: 1 keeps master weights and moments in host memory."""
    micro_batch_tokens: int = 16384
    """``REPO_MICRO_BATCH_TOKENS``: tokens per forward pass and worker, at most."""
    gradient_checkpointing: bool = False
    """``REPO_GRADIENT_CHECKPOINTING``: 1 recomputes activations in the backward pass."""
    compile: bool = False
    """``REPO_COMPILE``: 1 compiles every block with torch.compile; by default on GPUs below ZeRO 3."""
    attention: Attention = "sdpa"
    """``REPO_ATTENTION``: ``sdpa``, ``cudnn`` or ``flash``."""
    loss: Kernel = "chunked"
    """``REPO_LOSS``: ``chunked`` or ``liger``; by default Liger's kernels on a GPU that has them."""
    checkpoint_seconds: float = 30.0
    """``REPO_CHECKPOINT_SECONDS``: least time between checkpoints."""
    checkpoint_steps: int = 0
    """``REPO_CHECKPOINT_STEPS``: a checkpoint every that many steps instead; 0: by time."""
    checkpoint_keep: int = 2
    """``REPO_CHECKPOINT_KEEP``: how many of the last are kept."""
    milestone_steps: int = 1000
    """``REPO_CHECKPOINT_MILESTONES``: the weights after every so many steps stay; 0: none."""
    hang_seconds: float = 900.0
    """``REPO_HANG_SECONDS``: a worker that gets nowhere for so long is ended and started anew."""
    spikes_in_a_row: int = 20
    """``REPO_SPIKES``: training stops after that many bad steps in a row; 0: never."""
    tensorboard: bool = False
    """``REPO_TENSORBOARD``: 1 writes TensorBoard's files beside the metrics."""
    wandb: str = ""
    """``REPO_WANDB``: the Weights & Biases project to send metrics to; empty: none."""

    dry_run: bool = False
    """Leave no checkpoint and no model."""

    @property
    def worker_counts(self) -> range:
        """Every number of workers that may run."""
        return range(self.least_workers or self.workers, self.workers + 1)


def from_environment(gpus: int, on_cpu: int = LEAST) -> Execution:
    """Read the ``REPO_*`` variables; ``gpus`` is how many the Ray session has, ``on_cpu`` how many
    workers there are by default without them (``cpu_workers``)."""
    use_gpu = flag("REPO_USE_GPU", gpus > 0)
    least, most = _workers(max(gpus, 1) if use_gpu else on_cpu)
    execution = Execution(
        workers=most,
        least_workers=least,
        use_gpu=use_gpu,
        zero_stage=whole("REPO_ZERO") if os.environ.get("REPO_ZERO") else None,
        offload=flag("REPO_OFFLOAD"),
        micro_batch_tokens=whole("REPO_MICRO_BATCH_TOKENS"),
        gradient_checkpointing=flag("REPO_GRADIENT_CHECKPOINTING"),
        compile=flag("REPO_COMPILE", use_gpu and os.environ.get("REPO_ZERO") != "3"),
        attention=cast(Attention, value("REPO_ATTENTION")),
        loss=loss_kernel(os.environ.get("REPO_LOSS", ""), use_gpu),
        checkpoint_seconds=float(whole("REPO_CHECKPOINT_SECONDS")),
        checkpoint_steps=whole("REPO_CHECKPOINT_STEPS"),
        checkpoint_keep=whole("REPO_CHECKPOINT_KEEP"),
        milestone_steps=whole("REPO_CHECKPOINT_MILESTONES"),
        hang_seconds=float(whole("REPO_HANG_SECONDS")),
        spikes_in_a_row=whole("REPO_SPIKES"),
        tensorboard=flag("REPO_TENSORBOARD"),
        wandb=os.environ.get("REPO_WANDB", ""),
    )
    for wanted, name, package in (
        (execution.tensorboard, "REPO_TENSORBOARD", "tensorboard"),
        (bool(execution.wandb), "REPO_WANDB", "wandb"),
    ):
        if wanted and importlib.util.find_spec(package) is None:
            raise UserError(f"{name} is set: it needs `pip install {package}`; install or unset it")
    return execution


def loss_kernel(wanted: str, use_gpu: bool) -> Kernel:
    """The loss's kernel; empty: the best that is there."""
    installed = importlib.util.find_spec("liger_kernel") is not None
    if wanted == "chunked" or (wanted == "" and not (use_gpu and installed)):
        return "chunked"
    if wanted not in ("", "liger"):
        raise UserError(f"REPO_LOSS is {wanted!r}: give 'chunked' or 'liger', or unset it")
    if not use_gpu:
        raise UserError("REPO_LOSS is 'liger': its kernels need a GPU; unset it")
    if not installed:
        raise UserError(
            "REPO_LOSS is 'liger': it needs `pip install -e '.[gpu]'`; install or unset it"
        )
    return "liger"


def _workers(default: int) -> tuple[int | None, int]:
    """Least (none: fixed) and most workers, of ``REPO_WORKERS`` as ``4`` or ``2-4``."""
    wanted = span("REPO_WORKERS")
    if wanted is None:
        return None, default
    least, most = wanted
    return (least if "-" in os.environ["REPO_WORKERS"] else None), most


def zero_stage(params: TrainingParams, execution: Execution) -> int:
    """The ZeRO stage to run with; raises ``UserError`` where the optimizer cannot be partitioned."""
    wanted = execution.zero_stage
    if params.optimizer == "muon":
        if wanted:  # Muon orthogonalises whole matrices; ZeRO would cut them
            raise UserError(f"REPO_ZERO is {wanted}: optimizer 'muon' needs 0; unset it")
        wanted = 0
    elif wanted == 0 and params.precision != "fp32":
        raise UserError("REPO_ZERO is 0: precision 'bf16' needs 1, 2 or 3; unset it")
    if execution.offload and wanted == 0:
        raise UserError("REPO_OFFLOAD is 1: it needs REPO_ZERO 1, 2 or 3; unset it")
    return 1 if wanted is None else wanted
