"""All that this project touches of DeepSpeed beyond its public functions, in one place.

ZeRO keeps fp32 master weights and Adam's moments in flat partitions. A checkpoint by parameter name
needs to read and write a rank's part of them at any time; DeepSpeed's public ``safe_get/set_local_*``
do that for ZeRO 3, for ZeRO 1 and 2 there is nothing public that does not gather. The pin in
pyproject.toml is exact for this file's sake; ``tests/stages/training/test_zero.py`` names each use.
"""

import os
from collections.abc import Iterator
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from stages.training.named_state import MOMENTS, Fragments, State, part, step_count
from stages.training.trainable import trained


def settle(use_gpu: bool) -> None:
    """Before DeepSpeed is imported and joined: which accelerator, and nothing compiled on CPU."""
    if use_gpu:
        return
    os.environ["DS_ACCELERATOR"] = "cpu"
    import deepspeed

    # A private table; without it a shared-memory operator is compiled for 38 s on CPU.
    deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False


def prime(zero: Any, step: int) -> None:
    """Create Adam's state before the first step, so that it can be read and written at any time.

    DeepSpeed links its fragments to the optimizer's state once; torch makes that state lazily.
    """
    flat = getattr(zero, "fp32_partitioned_groups_flat", None)  # ZeRO 3
    if not flat and hasattr(zero, "single_partition_of_fp32_groups"):  # ZeRO 1 and 2
        partitions = zero.single_partition_of_fp32_groups
    else:  # ZeRO 1 with gradients in fp32 is a class of its own
        partitions = flat or zero.fp32_groups_flat_partition
    for partition in partitions:
        zero.optimizer.state[partition] = {
            "step": step_count(zero.optimizer, partition, float(step)),
            **{moment: torch.zeros_like(partition) for moment in MOMENTS},
        }
    if flat is None:
        zero._lazy_init_hp_params_optimizer_state()


def write(model: nn.Module, zero: Any, stage: int, state: State) -> None:
    """Give this rank its part of ``state`` and the passes' weights; every rank calls it, ``prime``d.

    Of ``state`` only what this rank holds is read; the low-precision weights of the others come from
    them.
    """
    if stage == 3:
        _write_thirds(model, zero, state)
    else:
        _write_partitions(model, zero, state)


def fragments(model: nn.Module, stage: int) -> Fragments:
    """What this rank holds, as views (ZeRO 1 to 3)."""
    return dict(_thirds(model) if stage == 3 else _partitions(model))


def overflowed(engine: Any) -> bool:
    """Whether ZeRO left out the last step for a gradient that was not finite."""
    return bool(engine.optimizer.overflow)


def _write_partitions(model: nn.Module, zero: Any, state: State) -> None:
    for name, parameter in trained(model):
        held = parameter._hp_mapping  # type: ignore[attr-defined]
        if held is None:
            continue
        where = held.lp_fragment_address.start, held.lp_fragment_address.numel
        held.get_hp_fragment().detach().copy_(part(state, name, *where))
        for moment in MOMENTS:
            if (entry := f"{name}|{moment}") in state:
                held.get_hp_fragment(moment).detach().copy_(part(state, entry, *where))
    zero.update_lp_params()


def _write_thirds(model: nn.Module, zero: Any, state: State) -> None:
    from deepspeed.utils import safe_set_local_fp32_param, safe_set_local_optimizer_state

    for name, parameter in trained(model):
        own: Tensor = parameter.ds_tensor  # type: ignore[attr-defined]
        start, count = _third(parameter, own.numel())

        def read(entry: str, own: Tensor = own, start: int = start, count: int = count) -> Tensor:
            value = torch.zeros(own.numel(), dtype=torch.float32)
            if count > 0:
                value[:count] = part(state, entry, start, count)
            return value.to(own.device)

        value = read(name)
        safe_set_local_fp32_param(parameter, value)
        own.data.copy_(value)
        for moment in MOMENTS:
            if (entry := f"{name}|{moment}") in state:
                safe_set_local_optimizer_state(parameter, read(entry), moment)
    if small := zero.persistent_parameters:
        # Small ones stay whole once they were used: drop what was gathered, the first use gathers
        # anew. Gathered here already, the head would not be noticed as used outside of its module.
        small[0].partition(small)


def _partitions(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """ZeRO 1 and 2: a rank's slice of the flat group cuts parameters anywhere."""
    for name, parameter in trained(model):
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

    for name, parameter in trained(model):
        own = safe_get_local_fp32_param(parameter)
        start, held = _third(parameter, own.numel())
        if held <= 0:
            continue
        yield f"{name}@{start}", own.flatten()[:held]
        for moment in MOMENTS:
            value = safe_get_local_optimizer_state(parameter, moment)
            yield f"{name}|{moment}@{start}", value.flatten()[:held]


def _third(parameter: Any, padded: int) -> tuple[int, int]:
    """First flat index of this rank's part of a parameter, and how many entries are not padding."""
    start = padded * dist.get_rank()
    return start, min(padded, parameter.ds_numel - start)
