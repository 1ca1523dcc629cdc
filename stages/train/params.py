"""Params of continual pre-training."""

from collections.abc import Mapping
from typing import Any, Self

from stages.common.errors import UserError
from stages.common.reading import parse
from stages.common.schema import Positive, new
from stages.common.variants import StartLayer
from stages.training.params import TrainingParams


class TrainParams(TrainingParams):
    """The same for every variant and seed, so that only the positions differ."""

    start_layer: StartLayer
    """First layer with learned positions, 0-based (PAPER.md section 1: 5 of 16, 10 of 32)."""
    map_std: Positive = new(0.02)
    """Standard deviation of fresh maps' weights; the paper's 0.02 is meant for a width of 2,048. z
    grows with its third power: with a little more, a narrow model begins further from NoPE."""

    def with_overrides(self, overrides: Mapping[str, Any], field: str) -> Self:
        """These params with some values of a variant's own; ``ValueError`` names ``field``."""
        if not overrides:
            return self
        values = {name: getattr(self, name) for name in type(self).model_fields}
        try:
            return parse(type(self), {**values, **overrides}, "")
        except UserError as error:
            raise ValueError(f"{field}.{str(error).splitlines()[0]}") from None
