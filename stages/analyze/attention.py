"""Where the answer looks: attention mass on needle, question and the rest (PAPER.md section 5)."""

from collections.abc import Sequence
from statistics import fmean, stdev
from typing import Any

import torch
from torch import Tensor

import repo_model

SPANS = ("needle", "query", "rest")
Ranges = Sequence[Sequence[int]]
"""Half-open token ranges."""


def sample_mass(model: Any, sample: dict[str, Any]) -> dict[str, float]:
    """Mean attention per token of each span while the model answers, over layers and heads.

    It counts from the tokens that choose the answer's tokens: the prompt's last and all generated
    ones but the last. ``rest`` is the other tokens of the prompt. ``uniform`` is what a token would
    get from attention spread evenly, so that contexts of different lengths can be compared.
    """
    prompt = torch.tensor([sample["prompt_ids"]], device=model.device)
    answer = model.generate(
        prompt,
        attention_mask=torch.ones_like(prompt),
        max_new_tokens=sample["max_new_tokens"],
        do_sample=False,
        pad_token_id=0,
    )
    ids, length = answer[:, :-1], prompt.shape[1]
    needle, query = (_mask(ids, sample[name]) for name in ("needle_span", "query_span"))
    context = _mask(ids, [[0, length]])
    spans = {
        "needle": needle,
        "query": query & ~needle,
        "rest": context & ~needle & ~query,
    }
    # attention_mass refuses an empty span: a sample may have no token but needle and query.
    filled = {name: span for name, span in spans.items() if span.any()}
    choosing = _mask(ids, [[length - 1, ids.shape[1]]])
    mass_LH = repo_model.attention_mass(model, ids, filled, choosing)
    mass = {name: mass_LH[name].double().mean().item() for name in filled}
    uniform = fmean(1 / seen for seen in range(length, ids.shape[1] + 1))
    return {**dict.fromkeys(SPANS, 0.0), **mass, "uniform": uniform}


def mean_mass(masses: Sequence[dict[str, float]]) -> dict[str, Any] | None:
    """Means over the samples with their standard errors (0 for a single sample)."""
    if not masses:
        return None
    by_span = {name: [one[name] for one in masses] for name in (*SPANS, "uniform")}
    error = {
        name: round(stdev(by_span[name]) / len(masses) ** 0.5, 9) if len(masses) > 1 else 0.0
        for name in SPANS
    }
    means = {name: round(fmean(values), 9) for name, values in by_span.items()}
    return {**means, "stderr": error, "samples": len(masses)}


def _mask(ids_BN: Tensor, ranges: Ranges) -> Tensor:
    mask_BN = torch.zeros_like(ids_BN, dtype=torch.bool)
    for start, end in ranges:
        mask_BN[:, start:end] = True
    return mask_BN
