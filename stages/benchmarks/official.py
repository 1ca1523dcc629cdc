"""The two frozen protocols as settings: NVIDIA's own RULER, and the paper's tool chain.

Never mixed in one table (EVALUATION.md sections 1 and 3.1; PAPER.md section 4).
"""

from collections.abc import Sequence
from typing import Any, get_args

from stages.benchmarks.params import Protocol, RulerParams, RulerTask

PROTOCOLS: tuple[str, ...] = get_args(Protocol)
TASKS: tuple[str, ...] = get_args(RulerTask)

_NEW_TOKENS = {
    "nvidia": dict.fromkeys(TASKS, 128) | {"vt": 30, "cwe": 120, "fwe": 50, "qa_1": 32, "qa_2": 32},
    "repo-paper": dict.fromkeys(TASKS, 50)
    | {"niah_multikey_3": 100, "niah_multiquery": 100, "cwe": 100, "niah_multivalue": 300},
}
SAMPLES = {"nvidia": 500, "repo-paper": 100}
"""Samples per task and length."""
# Of prose RULER cuts 500 words: below 4096 tokens that is most of a prompt, so less is cut here.
_RULER: dict[str, Any] = {
    "value_digits": 7,
    "word_tokens": None,
    "prose": "generated",
    "steps": {"lines": 25, "prose": 50, "assignments": 10, "words": 10},
    "vt": {"chains": 1, "hops": 4, "name_letters": 5, "value_digits": 5, "example_tokens": 500},
    "cwe": {"common": 10, "repeats": [30, 3], "example": {"words": 40, "repeats": [10, 3]}},
    "short": {
        "below": 4096,
        "steps": {"lines": 5, "prose": 10, "assignments": 5, "words": 10},
        "cwe": {"common": 10, "repeats": [6, 1], "example": {"words": 20, "repeats": [3, 1]}},
    },
}


def ruler(
    protocol: str,
    tasks: Sequence[str],
    samples: int | None = None,
    new_tokens: int | None = None,
    answer_prefix: bool = True,
    **sources: str | None,
) -> RulerParams:
    """A protocol's settings for ``tasks``; ``new_tokens`` is another budget.

    ``sources`` names ``prose``, ``squad``, ``hotpotqa``, ``data``.
    """
    return RulerParams.model_validate(
        {
            **_RULER,
            **sources,
            "answer_prefix": answer_prefix,
            "protocol": protocol,
            "tasks": list(tasks),
            "samples": samples or SAMPLES[protocol],
            "new_tokens": dict.fromkeys(tasks, new_tokens) if new_tokens else _NEW_TOKENS[protocol],
        }
    )
