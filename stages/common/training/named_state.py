"""The training state by parameter name, read from and written to DeepSpeed's optimizers.

State by name (fp32 weights and the optimizer's moments) moves between worker counts and ZeRO stages
without a conversion, and bit-equal within one (tried: ZeRO 1, 2, 3, fp32 and bf16, two gloo workers).
"""

from typing import Any

import torch
from torch import Tensor, nn

State = dict[str, Tensor]
"""``<parameter>`` -> fp32 weight; ``<parameter>|<key>`` -> entry of the optimizer's state."""
MOMENTS = ("exp_avg", "exp_avg_sq")


def weights_of(model: nn.Module) -> State:
    """A starting state: the model's weights in fp32, no moments."""
    return {name: p.detach().float().clone() for name, p in model.named_parameters()}


def prime(zero: Any, step: int) -> None:
    """Create Adam's state before the first step, so that it can be read and written at any time.

    DeepSpeed links its fragments to the optimizer's state once; torch makes that state lazily.
    """
    flat = getattr(zero, "fp32_partitioned_groups_flat", None)  # ZeRO 3
    for partition in flat or zero.single_partition_of_fp32_groups:
        zero.optimizer.state[partition] = {
            "step": torch.tensor(float(step)),
            **{moment: torch.zeros_like(partition) for moment in MOMENTS},
        }
    if flat is None:
        zero._lazy_init_hp_params_optimizer_state()


def read_partitioned(model: nn.Module) -> State:
    """Gather the state of ZeRO 1 to 3 on the CPU; every rank must call it."""
    from deepspeed.utils import safe_get_full_fp32_param, safe_get_full_optimizer_state

    found: State = {}
    for name, parameter in model.named_parameters():
        found[name] = _host(safe_get_full_fp32_param(parameter))
        for moment in MOMENTS:
            found[f"{name}|{moment}"] = _host(safe_get_full_optimizer_state(parameter, moment))
    return found


def write_partitioned(model: nn.Module, state: State) -> None:
    """Give each rank its part of ``state``; ``prime`` must have come before."""
    from deepspeed.utils import safe_set_full_fp32_param, safe_set_full_optimizer_state

    for name, parameter in model.named_parameters():
        safe_set_full_fp32_param(parameter, state[name].to(parameter.device))
        for moment in MOMENTS:
            if (value := state.get(f"{name}|{moment}")) is not None:
                safe_set_full_optimizer_state(parameter, value.to(parameter.device), moment)


def read_whole(model: nn.Module, optimizer: Any) -> State:
    """The state of ZeRO 0, where every rank holds all of it."""
    found: State = {}
    for name, parameter in model.named_parameters():
        found[name] = _host(parameter)
        for key, value in _entries(optimizer, parameter).items():
            found[f"{name}|{key}"] = _host(value)
    return found


def write_whole(model: nn.Module, optimizer: Any, state: State) -> None:
    """Put the optimizer's part of ``state`` in place; the weights are in the model already."""
    for name, parameter in model.named_parameters():
        kept = {
            key.removeprefix(f"{name}|"): v
            for key, v in state.items()
            if key.startswith(f"{name}|")
        }
        for key, value in kept.items():
            device = "cpu" if key == "step" else parameter.device  # where torch keeps it
            _entries(optimizer, parameter)[key] = value.to(device).clone()


def _entries(optimizer: Any, parameter: Tensor) -> dict[str, Tensor]:
    """The optimizer's state of one parameter."""
    found = getattr(optimizer, "state_of", None)
    return found(parameter) if found else optimizer.state[parameter]


def _host(value: Tensor) -> Tensor:
    return value.detach().float().cpu().clone()
