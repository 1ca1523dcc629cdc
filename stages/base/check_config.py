"""A base model's config.json: family, kinds, layers and numbers, without the classes."""

from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any

from stages.base import check_rotation, config_kinds
from stages.base.check_rotation import COPY
from stages.common.config_numbers import odd_number
from stages.common.findings import Finding, refuse
from stages.common.rope import KINDS
from stages.common.seen import Seen
from stages.common.shape import FAMILIES

FIELD = "base.source"
SWITCHED = ("qwen2", "qwen3", "qwen3_moe")
"""Families without a window unless ``use_sliding_window`` is set."""
OLD_KIND = "attention"
"""What transformers reads as ``full_attention``."""
WINDOWED = ("olmo3", "gemma2", "gemma3_text")
"""Families whose classes make the windows' mask whatever ``layer_types`` says."""
ACTIVATIONS = ("hidden_act", "hidden_activation")
EXPERTS_STEP = 4
"""Torch multiplies the experts of a layer by rows of whole 16 bytes, in fp32 of 4 values."""
MAPS = 8
"""Width of a model whose position maps are one wide: they have an eighth of it."""


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
    if wrong := check_rotation.check(config):
        return wrong
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
    if "head_dim" not in usual and "head_dim" in config and config["head_dim"] is None:
        return "head_dim is None", "take it out"
    window = whole.get("sliding_window")
    if family in SWITCHED and not whole.get("use_sliding_window"):
        window = None
    kinds, layers = config.get("layer_types"), config["num_hidden_layers"]
    every = config.get("sliding_window_pattern", 6)
    odd = type(every) not in (int, float, bool) or not every
    if kinds is None and family == "gemma3_text" and odd:
        return f"sliding_window_pattern is {every!r}", "6 is usual"
    sliding = isinstance(kinds, list) and "sliding_attention" in kinds
    if not window and (sliding or family in WINDOWED):
        what = "layer_types has sliding_attention" if sliding else f"{family} has windows"
        return f"{what}, and there is no sliding_window", COPY
    experts = whole.get("num_local_experts", whole.get("num_experts"))
    if "num_experts" in usual and not 0 < whole["num_experts_per_tok"] <= (experts or 0):
        return f"num_experts_per_tok is {whole['num_experts_per_tok']} of {experts} experts", COPY
    width = {"qwen3_moe": "moe_intermediate_size", "olmoe": "intermediate_size"}.get(family)
    for name in ("hidden_size", width) if width and experts else ():
        if whole[name] % EXPERTS_STEP:
            return f"{name} is {whole[name]}; mixtures need a multiple of {EXPERTS_STEP}", COPY
    if whole.get("decoder_sparse_step") == 0:
        return "decoder_sparse_step is 0", "1 is usual"
    if config["hidden_size"] < MAPS:
        return f"hidden_size is {config['hidden_size']}; learned positions need {MAPS}", COPY
    rotating = config.get("no_rope_layers")
    if rotating is None and whole.get("no_rope_layer_interval") == 0:
        return "no_rope_layer_interval is 0", "4 is usual"
    mixed = config.get("mlp_layer_types")
    known = isinstance(mixed, list) and set(map(str, mixed)) <= {"sparse", "dense"}
    if mixed is not None and "layer_types" in usual and not (known and len(mixed) == layers):
        return f"mlp_layer_types is {mixed!r}", "take it out"
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
        not isinstance(kinds, list)
        or len(kinds) != layers
        or not set(map(str, kinds)) <= {*KINDS, OLD_KIND}
    ):
        yield refuse(
            FIELD,
            source,
            f"config.json: layer_types must name one of {', '.join(sorted(KINDS))} for each of "
            f"{layers} layers",
            COPY,
        )
    padding, rows = whole.get("pad_token_id"), int(str(config["vocab_size"]))
    if padding is not None and (type(padding) is not int or not -rows <= padding < rows):
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
