"""A question as a sample: the record that the tasks of NLGraph, HybridQA and LongBench v2 share."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from stages.benchmarks.cutting import fitted
from stages.benchmarks.params import field_of
from stages.common.encoder import Encoder
from stages.common.errors import DoesNotFit


@dataclass(frozen=True)
class Style:
    """How the answers of a task are decoded and scored."""

    metric: str
    max_new_tokens: int
    ends_at_newline: bool = False
    """Whether an answer ends at its first newline."""
    ends_at_blank_line: bool = False
    """Whether an answer ends at its first blank line."""
    first_line: bool = False
    """Whether only the first line that is not empty is scored."""


@dataclass(frozen=True)
class Asked:
    """A prompt, its references, and what else the scorer needs."""

    prompt: str
    question: str
    """The part at the prompt's end that must survive a cut."""
    answers: Sequence[str]
    shortcut: float | None = None
    """What naming any one candidate scores, 0 to 1, where the task names candidates."""
    more: dict[str, Any] = field(default_factory=dict)
    """Further fields of the sample."""


@dataclass(frozen=True)
class Place:
    """Where a sample belongs."""

    suite: str
    task: str
    length: int
    reserved: int = 0
    """Tokens that a chat template takes."""


def record(
    place: Place,
    index: int,
    asked: Asked,
    style: Style,
    encoder: Encoder,
    max_length: int | None = None,
) -> dict[str, Any]:
    """The sample as it is stored, cut in the middle where it is too long (then ``truncated``).

    ``max_length``: as of ``cutting.fitted``.
    """
    room = place.length - style.max_new_tokens - place.reserved
    if room < 2:
        raise DoesNotFit(
            f"benchmarks.lengths: {place.length} is too short for {place.task}: its answer alone "
            f"takes {style.max_new_tokens} tokens; set {field_of(place.suite)}.new_tokens lower",
            place.task,
            place.length,
        )
    prompt, ids, truncated = fitted(asked.prompt, room, encoder, max_length)
    kept = len(prompt) - len(asked.question) if prompt.endswith(asked.question) else 0
    return {
        "id": f"{place.task}-{place.length}-{index:04}",
        "suite": place.suite,
        "task": place.task,
        "metric": style.metric,
        "first_line": style.first_line,
        "ends_at_newline": style.ends_at_newline,
        "ends_at_blank_line": style.ends_at_blank_line,
        "length": place.length,
        "index": index,
        "input": prompt,
        "answer_prefix": "",
        "outputs": list(asked.answers),
        "prompt_ids": ids,
        "max_new_tokens": style.max_new_tokens,
        "depth": None,
        "needle_span": [],
        "query_span": [encoder.locate(prompt).span(kept, len(prompt))],
        "candidates": [],
        "shortcut": asked.shortcut,
        "truncated": truncated,
        **asked.more,
    }
