"""Params of continual pre-training."""

from typing import Annotated

from pydantic import Field

from stages.training.params import TrainingParams


class TrainParams(TrainingParams):
    """The same for every variant and seed, so that only the positions differ."""

    start_layer: Annotated[int, Field(ge=0)]
    """First layer with learned positions, 0-based (PAPER.md section 1: 5 of 16, 10 of 32)."""
