"""Optimizers, their parameter groups and the learning rate."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from repo_model.attention import PositionMap
from stages.training.muon import Muon
from stages.training.params import TrainingParams


def build(model: nn.Module, params: TrainingParams, fused: bool = False) -> torch.optim.Optimizer:
    """The optimizer that DeepSpeed is handed: its own would compile kernels for minutes on CPU.

    ``fused``: AdamW in one kernel; for GPUs, its last bits differ.
    """
    if params.optimizer == "muon":
        return MuonWithAdamW(model, params)
    return adamw(model, params, fused)


def adamw(model: nn.Module, params: TrainingParams, fused: bool = False) -> torch.optim.AdamW:
    """AdamW as OLMo-2 has it: everything decays, norms too, but the input embeddings."""
    embedding = model.get_input_embeddings().weight  # type: ignore[operator, union-attr]
    maps = position_maps(model) if params.map_lr is not None else []
    own = {id(p) for p in [embedding, *maps]}
    others = [p for p in model.parameters() if id(p) not in own]
    groups: list[dict[str, Any]] = [
        {"params": others, "weight_decay": params.weight_decay},
        {"params": [embedding], "weight_decay": 0.0},
    ]
    if maps:
        groups.append({"params": maps, "weight_decay": params.weight_decay, "lr": params.map_lr})
    for group in groups:
        group["params"] = [p for p in group["params"] if p.requires_grad]
    return torch.optim.AdamW(
        [group for group in groups if group["params"]],
        lr=params.lr,
        betas=params.betas,
        eps=params.eps,
        fused=fused or None,
    )


def position_maps(model: nn.Module) -> list[nn.Parameter]:
    """The weights of the position maps; none in a model without learned positions."""
    maps = [module for module in model.modules() if isinstance(module, PositionMap)]
    return [parameter for module in maps for parameter in module.parameters()]


class MuonWithAdamW(torch.optim.Optimizer):
    """Muon for the matrices of the blocks, AdamW without decay for all else, as one optimizer.

    DeepSpeed takes one optimizer, and Muon needs whole matrices: ZeRO stage 0 only.
    """

    def __init__(self, model: nn.Module, params: TrainingParams) -> None:
        outer = {
            id(module.weight)  # type: ignore[union-attr]
            for module in (model.get_input_embeddings(), model.get_output_embeddings())  # type: ignore[operator]
        }
        matrices = [p for p in model.parameters() if p.ndim == 2 and id(p) not in outer]
        others = [p for p in model.parameters() if p.ndim != 2 or id(p) in outer]
        assert params.muon_lr is not None
        self.parts: tuple[torch.optim.Optimizer, ...] = (
            Muon(matrices, lr=params.muon_lr, weight_decay=params.weight_decay),
            torch.optim.AdamW(
                others, lr=params.lr, betas=params.betas, eps=params.eps, weight_decay=0.0
            ),
        )
        super().__init__([{"params": matrices}, {"params": others}], {})
        # The parts' own groups and states are what is seen from outside.
        self.param_groups = [group for part in self.parts for group in part.param_groups]

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """One step of both."""
        for part in self.parts:
            part.step()

    def state_of(self, parameter: torch.Tensor) -> dict[str, Any]:
        """The parameter's state in the part that holds it."""
        for part in self.parts:
            if any(parameter is p for group in part.param_groups for p in group["params"]):
                return part.state[parameter]
        raise KeyError("not a parameter of this optimizer")
