"""Core-seconds and disk of the token shards."""

from typing import TYPE_CHECKING

from stages.common.cost import Cost, Layout
from stages.corpus.cost import tokens

if TYPE_CHECKING:
    from stages.params import Params

TOKENS_PER_CORE_SECOND = 0.85e6
"""Hugging Face tokenizers run at 0.77-0.87 M (PERFORMANCE.md: 50 B tokens are 16 core-hours)."""


def cost(params: "Params", variant: str | None, layout: Layout) -> Cost:
    """One uint32 per token."""
    count = tokens(params)
    if count is None:
        return Cost(note="the number of tokens is not known offline")
    return Cost(tokens=count, core_seconds=count / TOKENS_PER_CORE_SECOND, disk_bytes=4.0 * count)
