"""Params of the evaluation."""

from stages.common.schema import Count, Section


class EvaluateParams(Section):
    """What is measured besides the benchmark samples; decoding is greedy."""

    perplexity_tokens: Count
    """Validation tokens per source whose loss is measured, at most, at each length."""
    stop_when_answered: bool = True
    """End a RULER sample once every reference has appeared: its score cannot change any more."""
