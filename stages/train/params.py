"""Params of continual pre-training."""

from collections.abc import Mapping
from typing import Any, Self

from pydantic import ValidationError

from stages.common.variants import StartLayer
from stages.training.params import TrainingParams


class TrainParams(TrainingParams):
    """The same for every variant and seed, so that only the positions differ."""

    start_layer: StartLayer
    """First layer with learned positions, 0-based (PAPER.md section 1: 5 of 16, 10 of 32)."""

    def with_overrides(self, overrides: Mapping[str, Any], field: str) -> Self:
        """These params with some values of a variant's own; ``ValueError`` names ``field``."""
        if not overrides:
            return self
        values = {name: getattr(self, name) for name in type(self).model_fields}
        try:
            return type(self).model_validate({**values, **overrides})
        except ValidationError as error:
            first = error.errors()[0]
            key = ".".join(str(part) for part in first["loc"]) or "(all)"
            raise ValueError(
                f"{field}.{key}: {first['msg'].removeprefix('Value error, ')}"
            ) from None
