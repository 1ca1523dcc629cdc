"""Params of the context extension."""

from typing import Annotated, Literal

from pydantic import Field

from stages.common.schema import Section


class ExtendParams(Section):
    """YaRN, zero-shot (PAPER.md section 2)."""

    factor: Annotated[float, Field(gt=1.0)]
    """Extended length over trained length."""
    scope: Literal["rope_and_repo", "rope"] = "rope_and_repo"
    """Layers that take YaRN's frequencies: as the official code does it, or as the paper words it."""
