"""A config.json that no code can read: one line that names the model, whoever stumbles over it."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from stages.common.errors import UserError
from stages.common.models import one_line
from stages.evaluate.loading import load_any


def rope(**changes: Any) -> dict[str, Any]:
    return {"rope_parameters": {"rope_type": "default", "rope_theta": 1e4, **changes}}


ODD: dict[str, dict[str, Any]] = {
    "linear without factor": rope(rope_type="linear"),
    "factor as text": rope(rope_type="linear", factor="x"),
    "factor of nothing": rope(rope_type="linear", factor=0),
    "factor below nothing": rope(rope_type="yarn", factor=-1.0),
    "llama3 without its factors": rope(rope_type="llama3", factor=2.0),
    "longrope without factors": rope(rope_type="longrope"),
    "no such type": rope(rope_type="nonsense"),
    "theta of nothing": rope(rope_theta=0.0),
    "theta as text": rope(rope_theta="x"),
    "a list": {"rope_parameters": []},
    "a word": {"rope_parameters": "linear"},
    "width as text": {"hidden_size": "16"},
    "no heads": {"num_attention_heads": 0},
    "heads that do not divide": {"num_attention_heads": 3},
    "layers below nothing": {"num_hidden_layers": -1},
    "no vocabulary": {"vocab_size": None},
    "activation": {"hidden_act": "nonsense"},
    "odd heads": {"head_dim": 7},
    "norm as text": {"rms_norm_eps": "x"},
    "positions": {"pe_config": 5},
    "layer types": {"layer_types": ["x", "y"]},
    "family": {"model_type": "nonsense"},
}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("odd")
    LlamaForCausalLM(
        LlamaConfig(
            vocab_size=32, hidden_size=16, intermediate_size=32, num_hidden_layers=2,
            num_attention_heads=2, num_key_value_heads=2, max_position_embeddings=32,
        )
    ).save_pretrained(folder)  # fmt: skip
    return folder


@pytest.fixture(scope="module")
def config(model: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((model / "config.json").read_text())
    return content


@pytest.mark.parametrize("name", ODD)
def test_an_odd_config_is_one_line(name: str, model: Path, config: dict[str, Any]) -> None:
    (model / "config.json").write_text(json.dumps({**config, **ODD[name]}))
    with pytest.raises(UserError, match="MODEL") as caught:
        load_any(model, "MODEL", None, torch.float32)
    assert "\n" not in str(caught.value)


def test_the_model_as_it_was_is_read(model: Path, config: dict[str, Any]) -> None:
    (model / "config.json").write_text(json.dumps(config))
    for factor in (None, 2.0):
        loaded = load_any(model, "MODEL", factor, torch.float32)
        assert loaded(torch.tensor([[1, 2, 3]])).logits.isfinite().all()


def test_what_is_no_fault_of_the_file_passes() -> None:
    with pytest.raises(RuntimeError, match="out of memory"), one_line("MODEL"):
        raise RuntimeError("out of memory")
