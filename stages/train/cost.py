"""Continual pre-training of one variant."""

from typing import TYPE_CHECKING

from stages.common.cost import Cost, Layout, base_shape, unknown
from stages.common.shape import map_layers
from stages.training import cost as training

if TYPE_CHECKING:
    from stages.params import Params


def cost(params: "Params", variant: str | None, layout: Layout) -> Cost:
    """Tokens, steps, FLOPs and memory; learned positions add their maps."""
    shape = base_shape(params)
    if shape is None:
        return unknown(params)
    layers = map_layers(variant or "rope", shape.layers, params.train.start_layer)
    return training.cost(params.train, shape, layers, layout)
