"""Core-seconds and disk of the token shards."""

from typing import TYPE_CHECKING

from stages.common.cost import Cost, Layout
from stages.corpus.cost import ready_tokens, tokens

if TYPE_CHECKING:
    from stages.params import Params

TOKENS_PER_CORE_SECOND = 0.85e6
"""Hugging Face tokenizers run at 0.77-0.87 M (PERFORMANCE.md: 50 B tokens are 16 core-hours)."""
SCANNED_PER_CORE_SECOND = 100e6
"""Ready ids are read, hashed and compared."""


def cost(params: "Params", variant: str | None, layout: Layout) -> Cost:
    """One uint32 per token that is made here."""
    count = tokens(params)
    if count is None:
        return Cost(note="the number of tokens is not known offline")
    there = ready_tokens(params)
    return Cost(
        tokens=count + there,
        core_seconds=count / TOKENS_PER_CORE_SECOND + there / SCANNED_PER_CORE_SECOND,
        disk_bytes=4.0 * count,
    )
