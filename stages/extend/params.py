"""Params of the context extension."""

from typing import Annotated, Literal

from pydantic import Field

from stages.common.schema import Section
from stages.training.params import TrainingParams


class ExtendParams(Section):
    """YaRN, zero-shot (PAPER.md section 2), or followed by training at the extended length."""

    factor: Annotated[float, Field(gt=1.0)]
    """Extended length over trained length."""
    scope: Literal["rope_and_repo", "rope"] = "rope_and_repo"
    """Layers that take YaRN's frequencies: as the official code does it, or as the paper words it."""
    training: TrainingParams | None = None
    """A fine-tune of the extended model on the same tokens; none: zero-shot, as in the paper."""
