"""Tiny random configurations of every family: the usual one, and those with something odd."""

from typing import Any

import torch
from transformers import AutoModelForCausalLM

from repo_model.families import FAMILIES

BASE: dict[str, Any] = {
    "vocab_size": 96, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 4,
    "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 64,
    "pad_token_id": 1, "eos_token_id": 0, "bos_token_id": None, "head_dim": 8,
}  # fmt: skip
EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2}
MIXTURE = {**EXPERTS, "moe_intermediate_size": 24}
GEMMA = {"query_pre_attn_scalar": 5, "sliding_window": 6}
SLIDE, FULL = "sliding_attention", "full_attention"
TYPES = [SLIDE, FULL, SLIDE, FULL]
LLAMA3 = {
    "rope_type": "llama3", "rope_theta": 1e4, "factor": 4.0, "low_freq_factor": 1.0,
    "high_freq_factor": 4.0, "original_max_position_embeddings": 16,
}  # fmt: skip
LINEAR = {"rope_type": "linear", "rope_theta": 1e4, "factor": 2.0}

CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "olmo2": ("olmo2", {}),
    "olmo2-biased-tied": ("olmo2", {"attention_bias": True, "tie_word_embeddings": True}),
    "olmo3": ("olmo3", {"sliding_window": 6, "layer_types": TYPES}),
    "olmo3-two-thetas": (
        "olmo3",
        {
            "sliding_window": 5,
            "layer_types": TYPES,
            "rope_parameters": {
                FULL: {"rope_type": "default", "rope_theta": 5e5},
                SLIDE: {"rope_type": "default", "rope_theta": 1e4},
            },
        },
    ),
    "llama": ("llama", {}),
    "llama-biased-llama3": (
        "llama",
        {"attention_bias": True, "mlp_bias": True, "rope_parameters": LLAMA3},
    ),
    "llama-linear": ("llama", {"rope_parameters": LINEAR, "head_dim": 16}),
    "mistral": ("mistral", {"sliding_window": None}),
    "mistral-window": ("mistral", {"sliding_window": 6, "num_key_value_heads": 1}),
    "qwen2": ("qwen2", {}),
    "qwen2-window-tied": (
        "qwen2",
        {"use_sliding_window": True, "sliding_window": 6, "max_window_layers": 2,
         "tie_word_embeddings": True},
    ),
    "qwen3": ("qwen3", {"head_dim": 16}),
    "qwen3-window-biased": (
        "qwen3",
        {"use_sliding_window": True, "sliding_window": 5, "max_window_layers": 1,
         "attention_bias": True},
    ),
    "smollm3": ("smollm3", {"no_rope_layers": [1, 1, 0, 1]}),
    "smollm3-window": (
        "smollm3",
        {"no_rope_layers": [1, 0, 1, 0], "use_sliding_window": True, "sliding_window": 6,
         "mlp_bias": True, "attention_bias": True, "tie_word_embeddings": False},
    ),
    "granite": (
        "granite",
        {"embedding_multiplier": 3.0, "attention_multiplier": 0.3, "residual_multiplier": 0.5,
         "logits_scaling": 4.0, "attention_bias": True, "mlp_bias": True},
    ),
    "phi3": ("phi3", {}),
    "phi3-partial-window": (
        "phi3",
        {"partial_rotary_factor": 0.5, "sliding_window": 6, "tie_word_embeddings": True},
    ),
    "gemma2": ("gemma2", {**GEMMA, "layer_types": TYPES}),
    "gemma2-caps": (
        "gemma2",
        {**GEMMA, "layer_types": TYPES, "attn_logit_softcapping": 2.0,
         "final_logit_softcapping": 3.0, "attention_bias": True, "head_dim": 16},
    ),
    "gemma3_text": ("gemma3_text", {**GEMMA, "layer_types": TYPES}),
    "gemma3_text-linear": (
        "gemma3_text",
        {**GEMMA, "layer_types": TYPES, "tie_word_embeddings": False, "rope_parameters": {
            FULL: {"rope_type": "linear", "factor": 8.0, "rope_theta": 1e6},
            SLIDE: {"rope_type": "default", "rope_theta": 1e4}}},
    ),
    "olmoe": ("olmoe", {**EXPERTS, "clip_qkv": 0.5}),
    "qwen3_moe": ("qwen3_moe", {**MIXTURE, "mlp_only_layers": [1], "decoder_sparse_step": 1}),
}  # fmt: skip


def settings(case: str) -> tuple[str, dict[str, Any]]:
    """The stock model type and the keys of its configuration."""
    family, odd = CASES[case]
    return family, {**BASE, **odd}


def stock_model(case: str, attention: str = "eager", seed: int = 0, **keys: Any) -> Any:
    """A stock model whose weights are large enough for every part to matter."""
    family, usual = settings(case)
    config = FAMILIES[family].config.__mro__[2](**{**usual, **keys})
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(config, attn_implementation=attention)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.3 * torch.randn_like(weight))
    return model.eval()


def widen(model: Any) -> Any:
    """Maps so large that z spans several positions."""
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "_map." in name:
                weight.mul_(20)
    return model
