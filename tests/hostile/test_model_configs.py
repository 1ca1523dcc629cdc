"""Values in a config.json that no class of transformers works with: refused by the file alone."""

import json
from copy import deepcopy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

import repo_model
from repo_model.families import FAMILIES, family_of
from repo_model.formats import read_config
from stages.base import check_config, check_weights
from stages.common.files import read_json
from stages.common.rope import THETAS, rope_of
from stages.common.seen import Base, Seen
from tests.families.rows import CASES, FULL, LINEAR, LLAMA3, SLIDE, settings

PLAIN = {"rope_type": "default", "rope_theta": 1e4}
SCALING = {"rope_type": "linear", "factor": 2.0}
YARN = {"rope_type": "yarn", "rope_theta": 1e4, "factor": 2.0}
OLD_WINDOW, PARTIAL = "original_max_position_embeddings", "partial_rotary_factor"


def windows(rope: Any) -> dict[str, Any]:
    """Rotary parameters of the layers with a window, beside plain ones of the others."""
    return {"rope_parameters": {FULL: PLAIN, SLIDE: rope}}


GONE = object()
"""Stands for a key that is taken out."""
ODD: dict[str, tuple[str, dict[str, Any]]] = {
    "no activation": ("llama", {"hidden_act": None}),
    "unknown activation": ("llama", {"hidden_act": "swiglu"}),
    "activation as a number": ("qwen2", {"hidden_act": 1}),
    "gemma's activation": ("gemma2", {"hidden_activation": "gelu_tanh"}),
    "whole eps": ("llama", {"rms_norm_eps": None}),
    "whole range": ("olmo2", {"initializer_range": 0}),
    "text for truth": ("llama", {"use_cache": "true"}),
    "text for tied": ("olmo2", {"tie_word_embeddings": "false"}),
    "biased by a number": ("llama", {"attention_bias": 1}),
    "end as a text": ("mistral", {"eos_token_id": "</s>"}),
    "ends as texts": ("qwen3", {"eos_token_id": ["</s>"]}),
    "start as a list": ("llama", {"bos_token_id": [1]}),
    "parallel": ("llama", {"pretraining_tp": "2"}),
    "kinds as a text": ("gemma3_text", {"layer_types": "full_attention"}),
    "kinds as numbers": ("qwen2", {"layer_types": [0, 1, 0, 1]}),
    "labels": ("llama", {"id2label": {"a": 1}}),
    "no dict": ("llama", {"return_dict": False}),
    "dtype as a list": ("llama", {"dtype": ["bfloat16"]}),
    "llama3 without factors": ("llama", {"rope_parameters": {"rope_type": "llama3", "factor": 8.0}}),
    "linear without a factor": ("llama", {"rope_parameters": {"rope_type": "linear"}}),
    "no kind of rotation": ("llama", {"rope_parameters": {"rope_type": None}}),
    "no theta": ("llama", {"rope_parameters": {"rope_type": "default", "rope_theta": None}}),
    "parts of nothing": ("olmo3", {"rope_parameters": {"a": 1}}),
    "parts ignored": ("olmo3", {"rope_parameters": LINEAR}),
    "theta ignored": ("gemma3_text", {"rope_parameters": {**PLAIN, "rope_theta": 1e5}}),
    "no theta of windows": ("gemma3_text", windows({**PLAIN, "rope_theta": None})),
    "theta of windows": ("gemma3_text", windows({**PLAIN, "rope_theta": "1e4"})),
    "negative theta of windows": ("olmo3", windows({**PLAIN, "rope_theta": -1})),
    "windows without a factor": ("olmo3", windows({**PLAIN, "rope_type": "linear"})),
    "unknown kind of windows": ("olmo3", windows({**PLAIN, "rope_type": "foo"})),
    "dynamic windows": ("gemma3_text", windows({**LINEAR, "rope_type": "dynamic"})),
    "windows as a text": ("gemma3_text", windows("default")),
    "parts as texts": ("gemma3_text", {"rope_parameters": {FULL: "default", SLIDE: "default"}}),
    "parts of scaling": ("gemma3_text", {"rope_scaling": {FULL: LINEAR}}),
    "scaling of no type": ("gemma3_text", {"rope_scaling": {"type": "linear", "factor": 2.0}}),
    "parts in one": ("granite", windows(PLAIN)),
    "one part in one": ("smollm3", {"rope_parameters": {SLIDE: PLAIN}}),
    "theta before parts": ("gemma3_text", {"rope_parameters": GONE, "rope_local_base_freq": {}}),
    "two names": ("llama", {"rope_parameters": {**LINEAR, "factor": 4.0}, "rope_scaling": SCALING}),
    "a name's theta": ("smollm3", {"rope_parameters": LINEAR, "rope_scaling": SCALING}),
    "plain beside scaled": ("mistral", {"rope_parameters": PLAIN, "rope_scaling": SCALING}),
    "scaled over a kind": ("olmo3", {**windows(PLAIN), "rope_scaling": SCALING}),
    "yarn of no window": ("smollm3", {"rope_parameters": {**YARN, OLD_WINDOW: None}}),
    "longrope by another name": ("granite", {"rope_parameters": {**PLAIN, "long_factor": [1.0] * 4}}),
    "partial as a text": ("phi3", {"rope_parameters": GONE, PARTIAL: "0.5"}),
    "partial of no pairs": ("phi3", {"rope_parameters": {**PLAIN, PARTIAL: 0.4}}),
    "partial of nothing": ("phi3", {"rope_parameters": GONE, PARTIAL: 0}),
    "window of the class": ("gemma3_text", {"layer_types": GONE, "sliding_window": None}),
    "no window for whole layers": ("olmo3", {"layer_types": [FULL] * 4, "sliding_window": None}),
    "no pattern": ("gemma3_text", {"layer_types": GONE, "sliding_window_pattern": None}),
    "every no layer rotates": (
        "smollm3",
        {"no_rope_layers": GONE, "layer_types": GONE, "no_rope_layer_interval": 0},
    ),
    "kinds as a number": ("qwen3_moe", {"layer_types": 2}),
    "kinds of MLPs": ("olmo3", {"mlp_layer_types": 2}),
    "too narrow for maps": ("smollm3", {"hidden_size": 4}),
    "heads of the class": ("mistral", {"num_key_value_heads": GONE}),
    "heads of Qwen's class": ("qwen2", {"num_key_value_heads": GONE}),
    "no head": ("qwen2", {"head_dim": None}),
    "window switched off": ("qwen2", {"layer_types": [SLIDE] * 4, "sliding_window": 6}),
    "no window": ("gemma2", {"sliding_window": None}),
    "few layers of rotation": ("smollm3", {"no_rope_layers": [1]}),
    "padding of the class": ("smollm3", {"pad_token_id": GONE}),
    "both ways": ("gemma2", {"use_bidirectional_attention": True}),
    "scale of nothing": ("gemma2", {"query_pre_attn_scalar": 0}),
    "more experts than there are": ("olmoe", {"num_experts_per_tok": 5}),
    "every no layer": ("qwen3_moe", {"decoder_sparse_step": 0}),
    "experts by halves": ("olmoe", {"num_experts": GONE, "num_local_experts": 4.0}),
    "experts of odd rows": ("qwen3_moe", {"moe_intermediate_size": 30}),
    "a mixture's odd width": ("qwen3_moe", {"hidden_size": 34}),
    "a mixture's window": ("qwen3_moe", {"layer_types": [SLIDE] * 4, "sliding_window": 6}),
    "theta as null": ("olmo3", {"rope_parameters": GONE, "rope_theta": None}),
    "local theta as null": ("gemma3_text", {"rope_parameters": GONE, "rope_local_base_freq": None}),
    "padding below": ("smollm3", {"pad_token_id": -100}),
    "dropout of all": ("phi3", {"resid_pdrop": 2.0}),
    "yarn beside no window": ("granite", {"rope_parameters": YARN, OLD_WINDOW: None}),
    "yarn beside a list": ("mistral", {"rope_parameters": YARN, OLD_WINDOW: []}),
    "linear in Phi-3": ("phi3", {"rope_parameters": LINEAR}),
    "llama3 in Phi-3": ("phi3", {"rope_parameters": LLAMA3}),
    "yarn in Phi-3": ("phi3", {"rope_parameters": YARN}),
    "short factors in Phi-3": ("phi3", {"rope_parameters": {**PLAIN, "short_factor": [1.0]}}),
}  # fmt: skip
IGNORED = (
    "parts of nothing", "parts ignored", "theta ignored", "parts of scaling", "scaling of no type",
    "parts in one", "one part in one", "two names", "a name's theta", "plain beside scaled",
    "scaled over a kind",
)  # fmt: skip
"""What the class builds and runs, as another model than config.json says."""
STOCK = ("linear in Phi-3", "llama3 in Phi-3", "yarn in Phi-3", "short factors in Phi-3")
"""What our class runs and transformers' own does not: nobody has such a model."""
FINE: dict[str, tuple[str, dict[str, Any]]] = {
    "parts and more": (
        "gemma3_text",
        {"rope_parameters": {FULL: PLAIN, SLIDE: PLAIN, "rope_theta": 1e4}},
    ),
    "kinds of old": ("olmo3", {"layer_types": ["attention", SLIDE, "attention", SLIDE]}),
    "one theta": ("olmo3", {"rope_parameters": {**PLAIN, "rope_theta": 5e5}}),
    "no partial": ("granite", {"rope_parameters": {**PLAIN, PARTIAL: None}}),
    "scaled of old": ("olmo3", {"rope_parameters": GONE, "rope_theta": 1e4, "rope_scaling": SCALING}),
    "two names alike": ("llama", {"rope_parameters": LINEAR, "rope_scaling": SCALING}),
    "and an old name within": (
        "llama",
        {"rope_parameters": {**LINEAR, "type": "linear"}, "rope_scaling": SCALING},
    ),
    "and theta beside": (
        "granite",
        {
            "rope_parameters": {**LINEAR, "rope_theta": 5e4},
            "rope_scaling": SCALING,
            "rope_theta": 5e4,
        },
    ),
    "and the class's theta": (
        "smollm3",
        {"rope_parameters": {**LINEAR, "rope_theta": 2e6}, "rope_scaling": SCALING},
    ),
    "two names of a kind": (
        "olmo3",
        {"rope_parameters": {FULL: LINEAR, SLIDE: PLAIN}, "rope_scaling": SCALING},
    ),
    "half": ("phi3", {"rope_parameters": GONE, PARTIAL: 0.5}),
    "no experts of another family": ("phi3", {"num_local_experts": 0}),
    "both names of experts": ("qwen3_moe", {"num_local_experts": 4, "num_experts": 3}),
    "padding from the end": ("smollm3", {"pad_token_id": -1}),
    "theta within and null beside": ("granite", {"rope_theta": None}),
    "as many heads": ("smollm3", {"num_attention_heads": 2, "num_key_value_heads": None}),
}  # fmt: skip


def refused(folder: Path, config: dict[str, Any], weights: bool = False) -> list[str]:
    """Lines of the check."""
    (folder / "config.json").write_text(json.dumps(config))

    params = SimpleNamespace(base=SimpleNamespace(source="m"))
    seen = Seen(params, folder)  # type: ignore[arg-type]
    seen.__dict__["base"] = Base.of(str(folder), None, folder)
    found = [
        *check_config.check(seen),
        *(check_weights.check(seen, "m", folder) if weights else ()),
    ]
    return [one.line for one in found]


def works(config: dict[str, Any]) -> bool:
    """Whether the model is built, and reads a text."""
    try:
        model = family_of(config["model_type"]).causal_lm(read_config(deepcopy(config)))
        model.config.validate()  # as saving does
        ids = torch.arange(8)[None]
        return bool(model(ids, labels=ids).loss.isfinite())
    except Exception:
        return False


def stock(case: str) -> dict[str, Any]:
    family, keys = settings(case)
    found: dict[str, Any] = FAMILIES[family].config.__mro__[2](**keys).to_dict()
    return found


@pytest.mark.parametrize("case", sorted(CASES))
def test_what_the_classes_write_is_taken(case: str, tmp_path: Path) -> None:
    assert refused(tmp_path, stock(case)) == []


def changed(case: str, changes: dict[str, Any]) -> dict[str, Any]:
    kept = {key: v for key, v in {**stock(case), **changes}.items() if v is not GONE}
    return deepcopy(kept)  # transformers fills in what it reads


@pytest.mark.parametrize("name", ODD)
def test_what_the_classes_refuse_is_one_line(name: str, tmp_path: Path) -> None:
    config = changed(*ODD[name])
    if name in STOCK:
        with pytest.raises(Exception, match=r"rope_parameters|short_factor"):
            AutoConfig.for_model(**deepcopy(config))
    else:
        assert name in IGNORED or not works(config)
    (line,) = refused(tmp_path, config)
    assert "config.json: " in line and "; " in line


@pytest.mark.parametrize("name", FINE)
def test_what_the_classes_run_is_taken(name: str, tmp_path: Path) -> None:
    config = changed(*FINE[name])
    assert works(config)
    if "rope_scaling" in config and "rope_parameters" in config:  # two names of one rotation
        one = {key: value for key, value in config.items() if key != "rope_scaling"}
        ropes = [read_config(deepcopy(found)).rope_parameters for found in (config, one)]
        assert ropes[0] == {key: v for key, v in ropes[1].items() if key != "type"}
    assert refused(tmp_path, config) == []
    AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(tmp_path)).save_pretrained(tmp_path)
    assert refused(tmp_path, config, weights=True) == []
    repo_model.load(tmp_path, positions="repo").save_pretrained(tmp_path / "own")
    assert refused(tmp_path / "own", read_json(tmp_path / "own" / "config.json")) == []


@pytest.mark.parametrize(
    "name", [name for name in (*ODD, *FINE) if name.startswith(("two", "plain"))]
)
def test_two_names_of_the_rotation_are_read_as_the_class_reads_them(name: str) -> None:
    """Also where the check refuses them: `evaluate` on a folder asks it nothing."""
    config = changed(*{**ODD, **FINE}[name])
    read = read_config(deepcopy(config)).rope_parameters
    whole = read.get(FULL, read)
    mine = rope_of(config)
    assert mine and {key: whole[key] for key in mine} == mine


@pytest.mark.parametrize("case", sorted(CASES))
def test_a_class_s_own_theta_is_known(case: str) -> None:
    config = changed(case, {"rope_parameters": GONE, "rope_theta": GONE, "rope_scaling": SCALING})
    read = read_config(deepcopy(config)).rope_parameters
    if FULL not in read:
        assert read["rope_theta"] == THETAS.get(config["model_type"], 10_000.0)
