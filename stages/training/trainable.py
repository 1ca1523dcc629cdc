"""Which weights a run trains (``train.trainable``); the others stay as the starting model has them.

What is frozen takes no gradient, no optimizer state and no place in a checkpoint: it is made again by
``Run.build``. Layers below the first trained weight are computed without a graph, for autograd keeps
none where nothing needs a gradient.
"""

from collections.abc import Iterator

from torch import nn

from stages.common.errors import UserError
from stages.training.params import Trainable, TrainingParams

FUSED = "qkv_proj"
"""q, k and v as one matrix (Phi-3): all three are trained, or none."""


def freeze(model: nn.Module, params: TrainingParams) -> None:
    """Set ``requires_grad`` of every weight; raises ``UserError`` where nothing would be trained."""
    wanted = params.trainable
    if wanted == "all":
        return
    chosen = {id(p) for p in _chosen(model, wanted)}
    for parameter in model.parameters():
        parameter.requires_grad_(id(parameter) in chosen)
    if not chosen:
        raise UserError(
            f"trainable is {wanted.model_dump()}: this model has none of it; lower from_layer "
            "or name projections of attention"
        )


def trained(model: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    """Name and weight of what is trained, in the model's order."""
    return ((name, p) for name, p in model.named_parameters() if p.requires_grad)


def frozen(model: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    """Name and weight of all else."""
    return ((name, p) for name, p in model.named_parameters() if not p.requires_grad)


def _chosen(model: nn.Module, wanted: Trainable) -> Iterator[nn.Parameter]:
    from repo_model.attention import PositionMap  # here: the driver of a training has no model code

    layers = model.model.layers[wanted.from_layer :]  # type: ignore[union-attr, index]
    for layer in layers:
        attention = layer.self_attn
        if wanted.maps:
            for module in attention.modules():
                if isinstance(module, PositionMap):
                    yield from module.parameters()
        for name in _projections(attention, wanted):
            yield from getattr(attention, name).parameters()


def _projections(attention: nn.Module, wanted: Trainable) -> list[str]:
    """Names of the modules that hold the wanted projections."""
    names = [f"{letter}_proj" for letter in wanted.attention]
    if not hasattr(attention, FUSED):
        return names
    parts = {"q", "k", "v"} & set(wanted.attention)
    if parts and len(parts) < 3:
        raise UserError(
            f"trainable.attention is {list(wanted.attention)}: this family holds q, k and v in one "
            "matrix; name all three or none of them"
        )
    return [*([FUSED] if parts else []), *(name for name in names if name == "o_proj")]
