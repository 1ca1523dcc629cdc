"""Values in a config.json that no class of transformers works with: refused by the file alone."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from repo_model.families import FAMILIES, family_of
from repo_model.formats import read_config
from stages.base import check_config
from stages.common.seen import Base, Seen
from tests.families.rows import CASES, SLIDE, settings

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
}  # fmt: skip


def refused(folder: Path, config: dict[str, Any]) -> list[str]:
    """Lines of the check."""
    (folder / "config.json").write_text(json.dumps(config))

    params = SimpleNamespace(base=SimpleNamespace(source="m"))
    seen = Seen(params, folder)  # type: ignore[arg-type]
    seen.__dict__["base"] = Base.of(str(folder), None, folder)
    return [one.line for one in check_config.check(seen)]


def works(config: dict[str, Any]) -> bool:
    """Whether the model is built, and reads a text."""
    try:
        model = family_of(config["model_type"]).causal_lm(read_config(config))
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


@pytest.mark.parametrize("name", ODD)
def test_what_the_classes_refuse_is_one_line(name: str, tmp_path: Path) -> None:
    case, changes = ODD[name]
    config = {key: v for key, v in {**stock(case), **changes}.items() if v is not GONE}
    assert not works(config)
    (line,) = refused(tmp_path, config)
    assert "config.json: " in line and "; " in line
