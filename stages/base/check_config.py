"""A base model's config.json: family, frequencies, kinds and numbers, without the classes."""

from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any

from stages.base import config_kinds
from stages.common.config_numbers import odd_number
from stages.common.findings import Finding, refuse
from stages.common.rope import rope_of
from stages.common.seen import Seen
from stages.common.shape import FAMILIES

ROPE_TYPES = ("default", "linear", "llama3", "yarn")
"""What ``repo_model.frequencies`` reads on layers with learned positions (a test holds the two equal);
another would show when the first such training starts."""
NEEDED = {
    "linear": ("factor",),
    "yarn": ("factor",),
    "llama3": ("factor", "low_freq_factor", "high_freq_factor"),
}
"""By ``rope_type``, what its frequencies are computed from."""
FIELD = "base.source"
KINDS = {"full_attention", "sliding_attention"}
"""What a layer of the supported families can be."""
BY_LAYER_TYPE = ("olmo3", "gemma3_text")
"""Families whose ``rope_parameters`` may be nested, by kind of layer."""
SWITCHED = ("qwen2", "qwen3")
"""Families without a window unless ``use_sliding_window`` is set."""
ACTIVATIONS = ("hidden_act", "hidden_activation")
COPY = "copy the model's files again"


def check(seen: Seen) -> Iterator[Finding]:
    """Findings of the base's config.json."""
    source, config = seen.params.base.source, seen.base.config or {}
    family = str(config.get("model_type", "")).removeprefix("repo_")
    if family not in FAMILIES:
        yield refuse(
            FIELD,
            source,
            f"model_type {config.get('model_type')!r} is not supported",
            f"take a model of {', '.join(FAMILIES)}",
        )
        return
    if quantised := config.get("quantization_config") or config.get("compression_config"):
        method = quantised.get("quant_method") if isinstance(quantised, dict) else str(quantised)
        yield refuse(
            FIELD,
            source,
            f"its weights are quantised ({method or 'how, is not said'}) and cannot be trained on",
            "take the model in bf16, fp16 or fp32",
        )
    architectures = config.get("architectures") or []
    architectures = architectures if isinstance(architectures, list) else [architectures]
    if architectures and not any("CausalLM" in str(name) for name in architectures):
        yield refuse(
            FIELD,
            source,
            f"{architectures[0]} is no causal language model",
            "take the folder of its base model, ...ForCausalLM",
        )
    if seen.base.rope_type not in ROPE_TYPES:
        yield refuse(
            FIELD,
            source,
            f"rope_type {seen.base.rope_type!r} is not supported",
            f"take a model with {', '.join(ROPE_TYPES)}",
        )
    partial = config.get("partial_rotary_factor", seen.base.rope.get("partial_rotary_factor", 1.0))
    if partial not in (None, 1, 1.0) and family != "phi3":
        yield refuse(
            FIELD,
            source,
            f"partial_rotary_factor is {partial}; RePo rotates whole heads",
            "take a model that rotates them too",
        )
    yield from _shape(source, config)


def _kind(config: dict[str, Any]) -> tuple[str, str] | None:
    """A value that no class of transformers is built or runs with, and the fix."""
    family = str(config["model_type"]).removeprefix("repo_")
    if wrong := config_kinds.wrong_kind(family, config):
        name, wanted = wrong
        return f"{name} is {config[name]!r}", f"give {wanted}"
    known = config_kinds.activations()
    for name in ACTIVATIONS:
        value = config.get(name)
        if value is not None and known and value not in known:
            near = ", ".join(get_close_matches(str(value), known, 1) or ["silu"])
            return (
                f"{name} is {value!r}, which transformers does not know",
                f"{near} is one it knows",
            )
    rope = rope_of(config)
    kind = rope.get("stock_rope_type") or rope.get("rope_type") or rope.get("type")
    if "rope_type" in rope and (not isinstance(kind, str) or not kind):
        return f"rope_type is {rope['rope_type']!r}", COPY
    if missing := [key for key in NEEDED.get(str(kind), ()) if rope.get(key) is None]:
        return f"rope_type {kind!r} has no {missing[0]}", COPY
    if "rope_theta" in rope and rope["rope_theta"] is None:
        return "rope_theta is None", COPY
    if config.get("use_bidirectional_attention"):
        return (
            "use_bidirectional_attention is True; RePo is for causal models",
            "take another model",
        )
    return _layers(family, config)


def _layers(family: str, config: dict[str, Any]) -> tuple[str, str] | None:
    """What is said of the layers, and what the class takes for what is not said."""
    usual = config_kinds.defaults(family)
    whole = {**usual, **config}
    parts = config.get("rope_parameters") or {}
    if (
        family in BY_LAYER_TYPE
        and parts
        and not (KINDS | {"rope_type", "rope_theta"}) & parts.keys()
    ):
        return f"rope_parameters is {parts!r}, of no kind of layer", COPY
    if "head_dim" not in usual and "head_dim" in config and config["head_dim"] is None:
        return "head_dim is None", "take it out"
    window = whole.get("sliding_window")
    if family in SWITCHED and not whole.get("use_sliding_window"):
        window = None
    if "sliding_attention" in (config.get("layer_types") or ()) and not window:
        return "layer_types has sliding_attention, and there is no sliding_window", COPY
    experts = whole.get("num_local_experts", whole.get("num_experts"))
    if "num_experts" in usual and not 0 < whole["num_experts_per_tok"] <= (experts or 0):
        return f"num_experts_per_tok is {whole['num_experts_per_tok']} of {experts} experts", COPY
    if whole.get("decoder_sparse_step") == 0:
        return "decoder_sparse_step is 0", "1 is usual"
    rotating, layers = config.get("no_rope_layers"), config["num_hidden_layers"]
    if rotating is not None and "no_rope_layers" in usual and len(rotating) < layers:
        return f"no_rope_layers speaks of {len(rotating)} layers, there are {layers}", COPY
    return None


def _shape(source: str, config: dict[str, Any]) -> Iterator[Finding]:
    """Numbers of config.json that no model can have."""
    if odd := odd_number(config):
        yield refuse(FIELD, source, f"config.json: {odd}", COPY)
        return
    if wrong := _kind(config):
        yield refuse(FIELD, source, f"config.json: {wrong[0]}", wrong[1])
        return
    width, heads = int(str(config["hidden_size"])), int(str(config["num_attention_heads"]))
    usual = config_kinds.defaults(str(config["model_type"]).removeprefix("repo_"))
    whole = {**usual, **config}
    shared = whole.get("num_key_value_heads") or heads
    if not isinstance(shared, int) or shared < 1 or heads % shared:
        yield refuse(
            FIELD,
            source,
            f"config.json: num_attention_heads {heads} does not divide by "
            f"num_key_value_heads {shared}",
            COPY,
        )
    layers, kinds = config["num_hidden_layers"], config.get("layer_types")
    if kinds is not None and (
        not isinstance(kinds, list) or len(kinds) != layers or not set(map(str, kinds)) <= KINDS
    ):
        yield refuse(
            FIELD,
            source,
            f"config.json: layer_types must name one of {', '.join(sorted(KINDS))} for each of "
            f"{layers} layers",
            COPY,
        )
    padding, rows = whole.get("pad_token_id"), int(str(config["vocab_size"]))
    if padding is not None and (type(padding) is not int or padding >= rows):
        yield refuse(
            FIELD,
            source,
            f"config.json: pad_token_id {padding!r} is no row of the embedding's {rows}",
            "correct it, or set it to null",
        )
    head = config.get("head_dim") or width / heads
    if isinstance(head, (int, float)) and head % 2:
        yield refuse(
            FIELD,
            source,
            f"its heads are {head:g} wide; a rotation needs an even width",
            "take another model",
        )
