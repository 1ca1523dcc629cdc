"""YaRN in the config: no work, the weights linked, or a fine-tune."""

from typing import TYPE_CHECKING

from stages.common.cost import Cost, Layout, base_shape, learned_layers, unknown
from stages.training import cost as training

if TYPE_CHECKING:
    from stages.params import Params


def cost(params: "Params", variant: str | None, layout: Layout) -> Cost:
    """Nothing but the config; with ``extend.training`` what that takes."""
    shape = base_shape(params)
    if shape is None:
        return unknown(params)
    layers = learned_layers(params, variant, shape)
    tuned = params.extend.training
    if tuned is not None:
        return training.cost(tuned, shape, layers, layout)
    return Cost(parameters=shape.parameters + shape.map_parameters(layers), disk_bytes=0.0)
