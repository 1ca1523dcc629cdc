"""Which way of decoding gives a model the tokens of ``generate`` on each prompt alone.

This project's own engine pads on the right and hides the padding by a mask. That is right for full
attention over positions that the caller gives, and wrong where a layer counts places of the cache:
windows and chunks (transformers counts padding in), states that run along tokens, indexes of blocks.
``generate`` on a batch padded on the left is right for most of those; decoder halves that take no
notice of padding (BART's) and caches of a model's own need every prompt alone.

Two checks, in this order: what the model's config and cache declare, then a probe of short ragged
prompts. The probe finds what nothing declares (RoBERTa's positions begin beyond the padding's id); it
is too short to find a window.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple
from weakref import WeakKeyDictionary

import torch
from transformers import DynamicCache
from transformers.cache_utils import (
    DynamicLayer,
    DynamicSlidingWindowLayer,
    LinearAttentionAndFullAttentionLayer,
    LinearAttentionAndSlidingWindowAttentionLayer,
    LinearAttentionLayer,
)

Way = Literal["own", "static", "alone"]
"""This project's engine; ``generate`` on batches padded on the left; ``generate`` prompt by prompt."""
WAYS: tuple[Way, ...] = ("own", "static", "alone")
"""From the fastest to the one that is right by definition."""
Logits = Callable[[Any, Sequence[Sequence[int]]], torch.Tensor]
"""A way's logits of the token after next for each prompt, BV."""

_READS_PADDING = (
    DynamicLayer,
    DynamicSlidingWindowLayer,
    LinearAttentionLayer,
    LinearAttentionAndFullAttentionLayer,
    LinearAttentionAndSlidingWindowAttentionLayer,
)
"""transformers' own layers, for which its models mask the padding on the left."""
_PLACES = ("window_size", "attention_window", "attention_window_size", "local_attention")
"""What configs call a window that their cache does not show (GPT-Neo's ``window_size``)."""
_INDEXES = ("index_topk", "index_topk_blocks", "index_block_size", "compress_ratio")
"""Sparse attention that picks tokens or blocks by their place."""
_PROBES = (5, 13, 9)
"""Lengths of the probe's prompts: the longest is neither first nor last."""
_ROUNDING = {torch.float32: 2e-3, torch.float64: 1e-6}
"""Difference of logits, of their spread, that another order of sums may make; 0.25 in 16 bits."""


class Suited(NamedTuple):
    """The way that is right for a model, and why a faster one is not."""

    way: Way
    reason: str = ""


_known: "WeakKeyDictionary[Any, Suited]" = WeakKeyDictionary()


def suited(model: Any, logits: Mapping[Way, Logits]) -> Suited:
    """The fastest way that is right for ``model``; found once for each model.

    ``logits`` says how each way reads the probe; what raises there is not right.
    """
    if model not in _known:
        _known[model] = _find(model, logits)
    return _known[model]


def _find(model: Any, logits: Mapping[Way, Logits]) -> Suited:
    found = declared(model.config)
    ways = WAYS[WAYS.index(found.way) :]
    probe = _prompts(model)
    expected_BV = None
    for way in ways:
        if way == "alone":
            break
        try:
            if expected_BV is None:
                expected_BV = torch.cat([logits["alone"](model, [prompt]) for prompt in probe])
            got_BV = logits[way](model, probe)
        except Exception as error:  # a model's own code may raise anything
            reason = f"{type(error).__name__} when a ragged batch was tried"
        else:
            if _equal(got_BV, expected_BV):
                return Suited(way, found.reason)
            reason = "other logits than one by one when a ragged batch was tried"
        found = Suited("alone", f"{found.reason}; {reason}" if found.reason else reason)
    return Suited("alone", found.reason)


def declared(config: Any) -> Suited:
    """What a config says: the fastest way that its layers, windows and caches allow."""
    text = config.get_text_config(decoder=True)
    if named := [name for name in _INDEXES if getattr(text, name, None)]:
        return Suited("alone", f"attention over an index ({named[0]})")
    try:
        kinds = {type(layer) for layer in DynamicCache(config=config).layers}
    except Exception as error:  # configs of a checkpoint's own code
        return Suited("alone", f"no cache can be made of its config ({type(error).__name__})")
    if strange := sorted(kind.__name__ for kind in kinds if kind not in _READS_PADDING):
        way: Way = "static" if strange == ["DummyLayer"] else "alone"
        return Suited(way, f"its cache has layers of {', '.join(strange)}")
    if others := sorted(kind.__name__ for kind in kinds - {DynamicLayer}):
        return Suited("static", f"its cache has layers of {', '.join(others)}")
    types = set(getattr(text, "layer_types", None) or ()) - {"full_attention"}
    if types:
        return Suited("static", f"it has layers of {', '.join(sorted(map(str, types)))}")
    if named := [name for name in _PLACES if _counts(getattr(text, name, None))]:
        return Suited("static", f"its attention has a window ({named[0]})")
    return Suited("own")


def _counts(value: Any) -> bool:
    return bool(value) and not isinstance(value, bool)


def _prompts(model: Any) -> list[list[int]]:
    """Ragged prompts of ids spread over the vocabulary; the first ids are often special."""
    size = int(model.get_input_embeddings().weight.shape[0])
    ids = [3 + (7919 * place + 11) % max(1, size - 3) for place in range(sum(_PROBES))]
    found, start = [], 0
    for length in _PROBES:
        found.append([min(i, size - 1) for i in ids[start : start + length]])
        start += length
    return found


def _equal(one_BV: torch.Tensor, other_BV: torch.Tensor) -> bool:
    spread = other_BV.float().std().item()
    far = (one_BV.float() - other_BV.float()).abs().max().item()
    return far <= _ROUNDING.get(one_BV.dtype, 0.25) * spread
