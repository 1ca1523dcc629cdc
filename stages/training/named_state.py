"""The training state by parameter name, read from and written to DeepSpeed's optimizers.

State by name (fp32 weights and the optimizer's moments) moves between worker counts and ZeRO stages
without a conversion, and bit-equal within one (tested: ZeRO 0 to 3, one and two gloo workers). A rank
reads only the part it holds, as fragments: nothing is gathered, on no host lies more than its share.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

State = Mapping[str, Tensor]
"""``<parameter>`` -> fp32 weight; ``<parameter>|<key>`` -> entry of the optimizer's state."""
Fragments = dict[str, Tensor]
"""``<entry>@<start>`` -> 1-D part of that entry of a ``State``, from flat index ``start`` on."""
MOMENTS = ("exp_avg", "exp_avg_sq")


def weights_of(model: nn.Module) -> dict[str, Tensor]:
    """A starting state: the model's weights in fp32, no moments."""
    return {name: p.detach().float().clone() for name, p in model.named_parameters()}


def shapes_of(model: nn.Module) -> dict[str, list[int]]:
    """Shape of every parameter, also where ZeRO 3 has cut it up."""
    return {name: list(getattr(p, "ds_shape", p.shape)) for name, p in model.named_parameters()}


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


def fragments(model: nn.Module, optimizer: Any, zero_stage: int) -> Fragments:
    """What this rank holds, as views (ZeRO 0: rank 0 holds all and the others nothing)."""
    if zero_stage == 0:
        return dict(_whole(model, optimizer)) if dist.get_rank() == 0 else {}
    return dict(_thirds(model) if zero_stage == 3 else _partitions(model))


def write_partitioned(model: nn.Module, state: State) -> None:
    """Give each rank its part of ``state``; ``prime`` must have come before."""
    from deepspeed.utils import safe_set_full_fp32_param, safe_set_full_optimizer_state

    for name, parameter in model.named_parameters():
        safe_set_full_fp32_param(parameter, state[name].to(parameter.device))
        for moment in MOMENTS:
            if (value := state.get(f"{name}|{moment}")) is not None:
                safe_set_full_optimizer_state(parameter, value.to(parameter.device), moment)


def write_whole(model: nn.Module, optimizer: Any, state: State) -> None:
    """Put the optimizer's part of ``state`` in place; the weights are in the model already."""
    for name, parameter in model.named_parameters():
        prefix = f"{name}|"
        for entry in [entry for entry in state if entry.startswith(prefix)]:
            key = entry.removeprefix(prefix)
            device = "cpu" if key == "step" else parameter.device  # where torch keeps it
            _entries(optimizer, parameter)[key] = state[entry].to(device).clone()


def _whole(model: nn.Module, optimizer: Any) -> Iterator[tuple[str, Tensor]]:
    for name, parameter in model.named_parameters():
        yield f"{name}@0", parameter.detach().flatten()
        for key, value in _entries(optimizer, parameter).items():
            yield f"{name}|{key}@0", value.detach().flatten()


def _partitions(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """ZeRO 1 and 2: a rank's slice of the flat group cuts parameters anywhere."""
    for name, parameter in model.named_parameters():
        held = parameter._hp_mapping  # type: ignore[attr-defined]
        if held is None:
            continue
        start = held.lp_fragment_address.start
        yield f"{name}@{start}", held.get_hp_fragment().detach()
        for moment in MOMENTS:
            yield f"{name}|{moment}@{start}", held.get_hp_fragment(moment).detach()


def _thirds(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """ZeRO 3: every parameter is cut evenly, the last part padded."""
    from deepspeed.utils import safe_get_local_fp32_param, safe_get_local_optimizer_state

    for name, parameter in model.named_parameters():
        part = safe_get_local_fp32_param(parameter)
        start = part.numel() * dist.get_rank()
        held = min(part.numel(), parameter.ds_numel - start)  # type: ignore[attr-defined]
        if held <= 0:
            continue
        yield f"{name}@{start}", part.flatten()[:held]
        for moment in MOMENTS:
            value = safe_get_local_optimizer_state(parameter, moment)
            yield f"{name}|{moment}@{start}", value.flatten()[:held]


def _entries(optimizer: Any, parameter: Tensor) -> dict[str, Tensor]:
    """The optimizer's state of one parameter."""
    found = getattr(optimizer, "state_of", None)
    return found(parameter) if found else optimizer.state[parameter]
