"""AdamW's parameter groups and learning rate, as OLMo-2 has them (PAPER.md section 3)."""

from typing import Any

import torch
from torch import nn

from stages.common.training.params import TrainingParams


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Everything decays, norms too, but the input embeddings."""
    embedding = model.get_input_embeddings().weight  # type: ignore[operator, union-attr]
    decayed = [p for p in model.parameters() if p.requires_grad and p is not embedding]
    return [
        {"params": decayed, "weight_decay": weight_decay},
        {"params": [embedding], "weight_decay": 0.0},
    ]


def adamw(model: nn.Module, params: TrainingParams) -> torch.optim.AdamW:
    """The optimizer that DeepSpeed is handed: its own would compile kernels for minutes on CPU."""
    return torch.optim.AdamW(
        parameter_groups(model, params.weight_decay),
        lr=params.lr,
        betas=params.betas,
        eps=params.eps,
    )


def learning_rate(params: TrainingParams, step: int) -> float:
    """Learning rate of ``step`` (0-based): linear warm-up, constant, linear to zero at the end.

    Without warm-up and with ``decay_share`` 1 it is the paper's: linear from lr to 0.
    """
    if step < params.warmup_steps:
        return params.lr * (step + 1) / (params.warmup_steps + 1)
    decay_steps = params.decay_share * params.steps
    return params.lr * min(1.0, (params.steps - step) / max(decay_steps, 1.0))
