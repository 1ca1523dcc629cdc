"""Params of the analysis of learned positions."""

from stages.common.schema import Count, NonNegative, Section


class AnalyzeParams(Section):
    """What is looked at inside the models (PAPER.md section 5)."""

    samples: Count
    """Retrieval samples over which attention mass and pattern shares are averaged."""
    chunk_tokens: Count
    """Chunk over which a position pattern is judged (paper: 16)."""
    epsilon: NonNegative
    """A chunk is constant when all its positions lie within mean +- epsilon (paper: 0.2)."""
