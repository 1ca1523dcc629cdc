"""Continual pre-training of one variant."""

from typing import TYPE_CHECKING

from stages.common.cost import Cost, Layout, base_shape, learned_layers, unknown
from stages.training import cost as training

if TYPE_CHECKING:
    from stages.params import Params


def cost(params: "Params", variant: str | None, layout: Layout) -> Cost:
    """Tokens, steps, FLOPs and memory; learned positions add their maps."""
    shape = base_shape(params)
    if shape is None:
        return unknown(params)
    layers = learned_layers(params, variant, shape)
    if variant and params.definitions[variant].train.origins:  # it is there already
        parameters = shape.parameters + shape.map_parameters(layers)
        return Cost(parameters=parameters, disk_bytes=2.0 * parameters)
    return training.cost(
        params.train_of(variant) if variant else params.train, shape, layers, layout
    )
