"""The training state by parameter name, read from and written to DeepSpeed's optimizers.

State by name (fp32 weights and the optimizer's moments) moves between worker counts and ZeRO stages
without a conversion, and bit-equal within one (tested: ZeRO 0 to 3, one and two gloo workers). A rank
reads only the part it holds, as fragments: nothing is gathered, on no host lies more than its share.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Protocol, runtime_checkable

import torch
import torch.distributed as dist
from torch import Tensor, nn

from stages.training.trainable import trained

State = Mapping[str, Tensor]
"""``<parameter>`` -> fp32 weight; ``<parameter>|<key>`` -> entry of the optimizer's state."""
Fragments = dict[str, Tensor]
"""``<entry>@<start>`` -> 1-D part of that entry of a ``State``, from flat index ``start`` on."""
MOMENTS = ("exp_avg", "exp_avg_sq")


def weights_of(model: nn.Module) -> dict[str, Tensor]:
    """A starting state: the trained weights in fp32, no moments."""
    return {name: p.detach().float().clone() for name, p in trained(model)}


def shapes_of(model: nn.Module) -> dict[str, list[int]]:
    """Shape of every trained weight, also where ZeRO 3 has cut it up."""
    return {name: list(getattr(p, "ds_shape", p.shape)) for name, p in trained(model)}


@runtime_checkable
class Ranged(Protocol):
    """A state that reads a part of an entry without the rest of it."""

    def part(self, entry: str, start: int, count: int) -> Tensor:
        """``count`` values of the flat entry, from ``start`` on."""


def part(state: State, entry: str, start: int, count: int) -> Tensor:
    """``count`` values of a flat entry of ``state``, from ``start`` on."""
    if isinstance(state, Ranged):
        return state.part(entry, start, count)
    return state[entry].flatten()[start : start + count]


def whole_fragments(model: nn.Module, optimizer: Any) -> Fragments:
    """Without ZeRO: rank 0 holds all, as views, and the others nothing."""
    return dict(_whole(model, optimizer)) if dist.get_rank() == 0 else {}


def write_whole(model: nn.Module, optimizer: Any, state: State) -> None:
    """Put the optimizer's part of ``state`` in place; the weights are in the model already."""
    for name, parameter in trained(model):
        prefix = f"{name}|"
        for entry in [entry for entry in state if entry.startswith(prefix)]:
            key = entry.removeprefix(prefix)
            if key == "step":
                value = step_count(optimizer, parameter, float(state[entry]))
            else:
                value = state[entry].to(parameter.device).clone()
            _entries(optimizer, parameter)[key] = value


def _whole(model: nn.Module, optimizer: Any) -> Iterator[tuple[str, Tensor]]:
    for name, parameter in trained(model):
        yield f"{name}@0", parameter.detach().flatten()
        for key, value in _entries(optimizer, parameter).items():
            yield f"{name}|{key}@0", value.detach().flatten()


def step_count(optimizer: Any, parameter: Tensor, value: float) -> Tensor:
    """Adam's ``step`` as torch itself would make it: a fused kernel reads it on the device."""
    groups = optimizer.param_groups
    on_device = any(group.get("fused") or group.get("capturable") for group in groups)
    return torch.tensor(value, device=parameter.device if on_device else "cpu")


def _entries(optimizer: Any, parameter: Tensor) -> dict[str, Tensor]:
    """The optimizer's state of one parameter."""
    found = getattr(optimizer, "state_of", None)
    return found(parameter) if found else optimizer.state[parameter]
