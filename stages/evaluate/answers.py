"""When an answer is complete before the model ends it, and what of its text is scored."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from stages.common.encoder import Encoder
from stages.evaluate.scorers import score

_CANNOT_FALL = ("string_match_all", "string_match_part")
"""Metrics by which a full score stays one, whatever is written after it."""


def prediction(sample: Mapping[str, Any], text: str) -> str:
    """The part of the text that is scored: to the first newline, or blank line, that ends the task's.

    Where only the first line is scored, newlines before it do not end it.
    """
    mark = _end(sample)
    if mark is None:
        return text
    start = len(text) - len(text.lstrip("\n")) if sample.get("first_line") else 0
    end = text.find(mark, start)
    return text if end < 0 else text[:end]


def _end(sample: Mapping[str, Any]) -> str | None:
    """What ends a task's answers besides the model."""
    if sample.get("ends_at_newline"):
        return "\n"
    return "\n\n" if sample.get("ends_at_blank_line") else None


def stopper(
    samples: Sequence[Mapping[str, Any]], encoder: Encoder, when_answered: bool
) -> Callable[[int, list[int]], bool] | None:
    """Whether a sample needs no more tokens than these; none where no sample ever says so."""
    lines = [_end(sample) is not None for sample in samples]
    full = [when_answered and sample["metric"] in _CANNOT_FALL for sample in samples]
    if not any(lines) and not any(full):
        return None

    def enough(row: int, ids: list[int]) -> bool:
        text = encoder.text(ids)
        if lines[row] and prediction(samples[row], text) != text:
            return True
        return full[row] and score(samples[row], text) == 1.0

    return enough
