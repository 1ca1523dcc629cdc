"""The base model: taken over, or trained from scratch."""

from typing import TYPE_CHECKING

from stages.common.cost import Cost, Layout, base_shape, unknown
from stages.training import cost as training

if TYPE_CHECKING:
    from stages.params import Params


def cost(params: "Params", variant: str | None, layout: Layout) -> Cost:
    """Training from scratch, else the bytes of a model that is there."""
    shape = base_shape(params)
    if shape is None:
        return unknown(params)
    if params.base.training is None or params.base.source != "scratch":
        # Hubs keep most base models in fp32 or bf16; bf16 is what is trained here.
        return Cost(parameters=shape.parameters, disk_bytes=2.0 * shape.parameters)
    return training.cost(params.base.training, shape, 0, layout)
