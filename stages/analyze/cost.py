"""Forward passes over a few retrieval samples."""

from typing import TYPE_CHECKING

from stages.common.cost import Cost, Layout, base_shape, learned_layers, unknown
from stages.common.cpu import core_flops
from stages.common.shape import FORWARD

if TYPE_CHECKING:
    from stages.params import Params


def cost(params: "Params", variant: str | None, layout: Layout) -> Cost:
    """The retrieval samples at the trained length, each prefilled once."""
    shape = base_shape(params)
    if shape is None:
        return unknown(params)
    length = params.benchmarks.lengths[0]
    layers = learned_layers(params, variant, shape)
    tokens = params.analyze.samples * length
    flops = tokens * shape.flops_per_token(length, FORWARD, layers)
    return Cost(
        tokens=tokens,
        flops=flops,
        parameters=shape.parameters,
        core_flops=core_flops(shape.width, bf16=False),
        cores=1,
    )
