"""How a training run is executed: read from the environment, never part of a result's identity."""

import os
from dataclasses import dataclass

from stages.common.errors import UserError


@dataclass(frozen=True)
class Execution:
    """Workers and their settings; the global batch stays the same whatever they are."""

    workers: int
    """``REPO_WORKERS``: Ray Train workers, one GPU each where there are GPUs."""
    use_gpu: bool
    """``REPO_USE_GPU``: 1 or 0, by default whether Ray sees a GPU."""
    zero_stage: int | None
    """``REPO_ZERO``: DeepSpeed ZeRO stage, 0 to 3; by default 1 (Muon: 0)."""
    micro_batch_tokens: int
    """``REPO_MICRO_BATCH_TOKENS``: tokens per forward pass and worker, at most."""
    checkpoint_seconds: float
    """``REPO_CHECKPOINT_SECONDS``: least time between checkpoints."""
    gradient_checkpointing: bool
    """``REPO_GRADIENT_CHECKPOINTING``: 1 recomputes activations in the backward pass."""


def from_environment(gpus: int) -> Execution:
    """Read the ``REPO_*`` variables; ``gpus`` is how many the Ray session has."""
    use_gpu = bool(_number("REPO_USE_GPU", int(gpus > 0), 0, 1))
    return Execution(
        workers=_number("REPO_WORKERS", max(gpus, 1) if use_gpu else 2, 1, 65536),
        use_gpu=use_gpu,
        zero_stage=_number("REPO_ZERO", 1, 0, 3) if os.environ.get("REPO_ZERO") else None,
        micro_batch_tokens=_number("REPO_MICRO_BATCH_TOKENS", 16384, 1, 2**31),
        checkpoint_seconds=float(_number("REPO_CHECKPOINT_SECONDS", 30, 0, 86400)),
        gradient_checkpointing=bool(_number("REPO_GRADIENT_CHECKPOINTING", 0, 0, 1)),
    )


def _number(name: str, default: int, least: int, most: int) -> int:
    text = os.environ.get(name, "")
    try:
        value = int(text) if text else default
    except ValueError:
        value = least - 1
    if not least <= value <= most:
        raise UserError(f"{name} is {text!r}: give a whole number from {least} to {most}")
    return value
