"""transformers' continuous batching as the engine: ``--engine continuous``.

``generate_batch`` keeps keys and values in pages; a prompt that ended makes room for the next one.
It can neither be told when an answer is complete, nor shows positions, and on a CPU its reading is
slower than this project's own engine (``benchmarks/evaluate.py`` prints by how much), so it is not
the default.
"""

import inspect
from collections.abc import Callable, Sequence
from typing import Any

from stages.common.errors import UserError
from stages.evaluate.ends import Ends

ENGINE = "continuous"
_PAGE = 256
"""Tokens of a page, transformers' own default."""
_AT_ONCE = 2048
"""Tokens of one pass over all prompts."""


def generate(
    model: Any,
    prompts: Sequence[Sequence[int]],
    max_new_tokens: int,
    eos: Ends,
    stop: Callable[[int, list[int]], bool] | None = None,
    marks: Sequence[int | None] | None = None,
) -> list[Any]:
    """As ``engine.generate``; what ``stop`` would have ended is cut there.

    ``marks`` stay unanswered.
    """
    from transformers import ContinuousBatchingConfig

    from stages.evaluate.engine import completion, greedy, way

    reason = way(model).reason
    if not reason and "position_ids" not in inspect.signature(model.forward).parameters:
        reason = "its positions come from the mask"  # Bloom's tokens were others, nothing said
    if reason:
        raise UserError(f"--engine {ENGINE}: not for this model ({reason}); leave it out")
    pages = sum(-(-(len(prompt) + max_new_tokens) // _PAGE) for prompt in prompts)
    found = model.generate_batch(
        [list(prompt) for prompt in prompts],
        generation_config=greedy(max_new_tokens, eos),
        # Sized by hand: finding out how much fits takes most of a minute on a CPU.
        continuous_batching_config=ContinuousBatchingConfig(
            page_size=_PAGE, num_blocks=pages + 1, max_batch_tokens=_AT_ONCE
        ),
        progress_bar=False,
    )
    if len(found) != len(prompts) or any(one.error for one in found.values()):
        reasons = {one.error for one in found.values() if one.error} or {"it gave no answer"}
        raise UserError(f"--engine {ENGINE}: {reasons.pop()}; leave it out")
    # In the order of the prompts, as transformers documents.
    return [
        completion(row, list(one.generated_tokens), eos, stop)
        for row, one in enumerate(found.values())
    ]
