"""What this project has to know of each family, one row each; everything else is the stock class's.

A new family is one row here and its class lines in `configuration_repo.py`, `modeling_repo.py` and
`families.py` (`auto_map` needs names that stand in a file). `tests/families` tries every row.
"""

from typing import Any, Literal, NamedTuple


class Facts(NamedTuple):
    """One family of stock transformers."""

    reads: Literal["raw", "normed"]
    """What the attention, and so the position maps, get: the residual stream, or its norm."""
    projections: Literal["split", "fused"] = "split"
    """`q_proj, k_proj, v_proj`, or one `qkv_proj` with their rows in this order."""
    qk_norm: Literal["none", "width", "head"] = "none"
    """`q_norm` and `k_norm`: none, over all heads together, or over each head."""
    window: Literal["none", "layer", "model"] = "none"
    """Sliding windows: never, where `layer_types` says so, or on every layer of a model with one."""
    rotary: Literal["one", "by_layer_type"] = "one"
    """Frequencies: one set, or one for each of `layer_types` (`rope_parameters` is nested)."""
    partial: bool = False
    """Whether `partial_rotary_factor` is read: the rest of a head is not rotated."""
    softcap: bool = False
    """Whether attention scores go through `attn_logit_softcapping`."""
    clip: bool = False
    """Whether q, k and v are clipped to `clip_qkv`."""
    head_attributes: tuple[str, ...] = ()
    """What the stock language model copies from its configuration beside `vocab_size`."""


MIXTURE = ("router_aux_loss_coef", "num_experts", "num_experts_per_tok")

FACTS = {
    "olmo2": Facts("raw", qk_norm="width"),
    "olmo3": Facts("raw", qk_norm="width", window="layer", rotary="by_layer_type"),
    "llama": Facts("normed"),
    "mistral": Facts("normed", window="model"),
    "qwen2": Facts("normed", window="layer"),
    "qwen3": Facts("normed", qk_norm="head", window="layer"),
    "smollm3": Facts("normed", window="layer"),
    "granite": Facts("normed"),
    "phi3": Facts("normed", projections="fused", window="model", partial=True),
    "gemma2": Facts("normed", window="layer", softcap=True),
    "gemma3_text": Facts("normed", qk_norm="head", window="layer", rotary="by_layer_type"),
    "olmoe": Facts("normed", qk_norm="width", clip=True, head_attributes=MIXTURE),
    "qwen3_moe": Facts("normed", qk_norm="head", window="model", head_attributes=MIXTURE),
}
"""By the `model_type` of the stock configuration."""


def facts_of(config: Any) -> Facts:
    """The row of a configuration (or its class), stock or own."""
    return FACTS[config.model_type.removeprefix("repo_")]
