"""Reading learned positions out of a running model, and putting others in."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import torch

from .attention import PositionTap


class PositionRecorder:
    """The positions of the calls made while recording: `recorder[layer]` is z_BHN.

    Several calls (the steps of `generate`) are joined along N. fp32, or fp64 for an fp64 model; one
    position per key/value head; detached. Record outside of gradient checkpointing, which runs
    layers twice.
    """

    def __init__(self, layers: list[int]) -> None:
        self.layers = layers
        self._calls: dict[int, list[torch.Tensor]] = {layer: [] for layer in layers}

    def __getitem__(self, layer: int) -> torch.Tensor:
        if layer not in self._calls:
            raise KeyError(
                f"layer {layer} has no learned positions; layers with them: {self.layers}"
            )
        if not self._calls[layer]:
            raise KeyError(f"layer {layer}: nothing recorded yet; call the model inside the block")
        return torch.cat(self._calls[layer], dim=-1)

    def clear(self) -> None:
        """Forget what was recorded so far."""
        for calls in self._calls.values():
            calls.clear()

    def _hook(self, layer: int) -> Callable[..., None]:
        def keep(module: Any, args: Any, z_BTK: torch.Tensor) -> None:
            self._calls[layer].append(z_BTK.detach().transpose(1, 2))

        return keep


def base_of(model: Any) -> Any:
    """The base model of ours within a language model, adapters (PEFT), or a compiled module.

    Raises:
        ValueError: there is none.
    """
    for module in model.modules():
        if hasattr(module, "reset_frequencies"):
            return module
    raise ValueError(f"{type(model).__name__} holds no model with learned positions")


def position_taps(model: Any) -> dict[int, PositionTap]:
    """The tap of every RePo layer of a model, by layer index."""
    return {
        i: layer.self_attn.positions
        for i, layer in enumerate(base_of(model).layers)
        if hasattr(layer.self_attn, "positions")
    }


@contextmanager
def record_positions(model: Any) -> Iterator[PositionRecorder]:
    """Record z of every RePo layer: `with record_positions(model) as r: model(ids); r[5]`."""
    taps = position_taps(model)
    recorder = PositionRecorder(list(taps))
    with ExitStack() as stack:
        for layer, tap in taps.items():
            stack.callback(tap.register_forward_hook(recorder._hook(layer)).remove)
        yield recorder


@contextmanager
def override_positions(
    model: Any, positions: Mapping[int, torch.Tensor | Callable[[torch.Tensor], torch.Tensor]]
) -> Iterator[None]:
    """Replace the learned positions of some layers while the block runs.

    Args:
        model: a RePo model.
        positions: by layer, either z that broadcasts to [B, T, K] or a function of z_BTK.

    Raises:
        ValueError: a layer without learned positions.
    """
    taps = position_taps(model)
    with ExitStack() as stack:
        for layer, new in positions.items():
            if layer not in taps:
                raise ValueError(
                    f"layer {layer} has no learned positions; layers with them: {list(taps)}"
                )
            stack.callback(taps[layer].register_forward_hook(_replacing(new)).remove)
        yield


def _replacing(
    new: torch.Tensor | Callable[[torch.Tensor], torch.Tensor],
) -> Callable[..., torch.Tensor]:
    def replace(module: Any, args: Any, z_BTK: torch.Tensor) -> torch.Tensor:
        if callable(new):
            return new(z_BTK)
        return new.to(z_BTK).expand_as(z_BTK)

    return replace


@torch.compiler.disable
def with_positions(model: Any, forward: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Run `forward` of a base or language model and add z to its output, as transformers does.

    `positions` is a tuple with one entry per layer: z_BKN of a `repo` layer, fp32 and part of the
    graph; None for a layer that learns no positions. A plain tuple (`return_dict=False`) gets it as
    its last element.
    """
    found: dict[int, torch.Tensor] = {}

    def keep(layer: int) -> Callable[..., None]:
        def hook(module: Any, args: Any, z_BTK: torch.Tensor) -> None:
            found[layer] = z_BTK.transpose(1, 2)

        return hook

    with ExitStack() as stack:
        for layer, tap in position_taps(model).items():
            stack.callback(tap.register_forward_hook(keep(layer)).remove)
        out = forward(model, *args, **kwargs)
    positions = tuple(found.get(i) for i in range(len(base_of(model).layers)))
    if isinstance(out, tuple):
        return (*out, positions)
    out["positions"] = positions
    return out
