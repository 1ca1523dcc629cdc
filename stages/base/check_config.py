"""A base model's config.json: family, frequencies, kinds and numbers, without the classes."""

from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any

from stages.base import config_kinds
from stages.common.config_numbers import odd_number
from stages.common.findings import Finding, refuse
from stages.common.rope import KINDS, contradicted, parts_of
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
WINDOW = "original_max_position_embeddings"
FIELD = "base.source"
BY_LAYER_TYPE = {"olmo3": 500_000.0, "gemma3_text": None}
"""Families whose ``rope_parameters`` stand by kind of layer, and the theta that their class takes for
all kinds where they do not; none: it takes several."""
SWITCHED = ("qwen2", "qwen3")
"""Families without a window unless ``use_sliding_window`` is set."""
OLD_KIND = "attention"
"""What transformers reads as ``full_attention``."""
WINDOWED = ("olmo3", "gemma2", "gemma3_text")
"""Families whose classes make the windows' mask whatever ``layer_types`` says."""
ACTIVATIONS = ("hidden_act", "hidden_activation")
MAPS = 8
"""Width of a model whose position maps are one wide: they have an eighth of it."""
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
    if wrong := _rotation(family, config) or _partial(family, config):
        return wrong
    if config.get("use_bidirectional_attention"):
        return (
            "use_bidirectional_attention is True; RePo is for causal models",
            "take another model",
        )
    return _layers(family, config)


def _rotation(family: str, config: dict[str, Any]) -> tuple[str, str] | None:
    """What of the rotary parameters no class takes, or takes for something else."""
    parts, said = parts_of(config), config.get("rope_parameters") or {}
    if key := contradicted(config):
        return (
            f"rope_parameters.{key} is {said.get(key)!r} and rope_scaling beside it says otherwise; "
            "transformers takes rope_scaling",
            "take one of the two out",
        )
    for name, part in parts.items():
        rope = part or {}
        kind = rope.get("stock_rope_type") or rope.get("rope_type", rope.get("type", "default"))
        if not isinstance(kind, str) or not kind:
            return f"{name}.rope_type is {kind!r}", COPY
        if "long_factor" in rope:
            kind = "longrope"
        if kind not in ROPE_TYPES:
            return (
                f"{name}.rope_type {kind!r} is not supported",
                f"take a model with {', '.join(ROPE_TYPES)}",
            )
        if missing := [key for key in NEEDED.get(kind, ()) if rope.get(key) is None]:
            return f"{name}.rope_type {kind!r} has no {missing[0]}", COPY
        if "rope_theta" in rope and rope["rope_theta"] is None:
            return f"{name}.rope_theta is None", COPY
        if kind in ("yarn", "llama3") and rope.get(WINDOW, 1) is None:
            return f"{name}.{WINDOW} is None", COPY
        old = name == "rope_scaling" and "rope_type" not in rope
        if old and kind != "default" and family in BY_LAYER_TYPE:
            return f"{name} has type {kind!r}: transformers ignores it", "name it rope_type"
        by_kind = name.partition(".")[2]
        if by_kind and (family not in BY_LAYER_TYPE or name.startswith("rope_scaling")):
            return (
                f"{name} is {part!r}, of one kind of layer: transformers ignores it",
                "say it of all layers, without their kind",
            )
    if family in BY_LAYER_TYPE and said and not set(KINDS) & said.keys():
        plain: tuple[dict[str, Any], ...] = ({}, {"rope_type": "default"})
        rest = {key: value for key, value in said.items() if key != "rope_theta"}
        if rest not in plain or said.get("rope_theta", theta := BY_LAYER_TYPE[family]) != theta:
            return (
                f"rope_parameters is {said!r}, of no kind of layer: transformers ignores it",
                f"put it under {' and '.join(KINDS)}",
            )
    return None


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


def _partial(family: str, config: dict[str, Any]) -> tuple[str, str] | None:
    """A part of the head that is rotated: none but Phi-3 has it, and a rotation needs pairs."""
    name = "partial_rotary_factor"
    given = [part for part in parts_of(config).values() if part and name in part]
    read = given if given and family == "phi3" else [*given, config]
    for factor in (of[name] for of in read if name in of):
        if family != "phi3" and factor not in (None, 1):
            return (
                f"{name} is {factor}; RePo rotates whole heads",
                "take a model that rotates them too",
            )
        if family != "phi3":
            continue
        size = config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]
        number = isinstance(factor, int | float) and not isinstance(factor, bool)
        turned = int(size * factor) if number and 0 < factor <= 1 else 0
        if turned < 2 or turned % 2:
            return f"{name} is {factor!r}: of a head of {size}, no even number of elements", COPY
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
