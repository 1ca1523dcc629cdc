"""Params of the evaluation."""

from typing import Literal

from stages.common.schema import Count, Section, new


class EvaluateParams(Section):
    """What is measured besides the benchmark samples; decoding is greedy."""

    perplexity_tokens: Count
    """Validation tokens per source whose loss is measured, at most, at each length."""
    stop_when_answered: bool = True
    """End a RULER sample once every reference has appeared: its score cannot change any more."""
    engine: Literal["own", "vllm"] = new("own")
    """What continues the samples, of variants and base; losses of windows are always the own engine's.
    ``vllm`` runs in an environment of its own (``infra/vllm/setup.sh``)."""
