"""The base on the samples and windows of the variants: as one of them without learned positions."""

from typing import TYPE_CHECKING

from stages.common.cost import Cost, Layout
from stages.evaluate import cost as evaluate

if TYPE_CHECKING:
    from stages.params import Params


def cost(params: "Params", variant: str | None, layout: Layout) -> Cost:
    """A base from elsewhere is read once at each length: its window is its trained length."""
    both: list[int] = []
    if params.base.source == "scratch" and params.base.training and params.base.architecture:
        trained, window = params.base.training.longest, params.base.architecture
        wide = window.max_position_embeddings
        both = [length for length in params.benchmarks.lengths if trained < length <= wide]
    return evaluate.work(params, "rope", layout, both)
