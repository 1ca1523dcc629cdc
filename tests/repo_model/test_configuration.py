"""The configuration: resolution, validation, round trip, refusal by stock loaders."""

import json
from pathlib import Path

import pytest
from transformers import AutoConfig, LlamaForCausalLM, Olmo2ForCausalLM, Qwen3ForCausalLM

import repo_model
from tests.repo_model.conftest import CLASSES, SIZES


def test_preset_becomes_the_list() -> None:
    config = repo_model.RepoOlmo2Config(**SIZES, positions="repo", start_layer=2)
    assert config.positions == ["rope", "rope", "repo"]
    assert not hasattr(config, "start_layer")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"positions": "learned"}, "'learned' is unknown"),
        ({"positions": "repo", "start_layer": 9}, "start_layer=9 is outside the model"),
        ({"hidden_size": 36, "num_attention_heads": 4}, "head size 9 is odd"),
        (
            {"num_attention_heads": 5, "num_key_value_heads": 5},
            "hidden_size=32 does not divide by num_attention_heads=5",
        ),
        (
            {"num_key_value_heads": 3},
            "num_attention_heads=4 does not divide by num_key_value_heads=3",
        ),
        ({"yarn_layers": "nope"}, "yarn_layers='nope' is unknown"),
        (
            {"hidden_size": 4, "num_attention_heads": 2, "num_key_value_heads": 2},
            "hidden_size=4 is below 8",
        ),
        (
            {"rope_parameters": {"rope_theta": 1e4, "partial_rotary_factor": 0.5}},
            "partial_rotary_factor",
        ),
    ],
)
def test_one_clear_error(change: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        repo_model.RepoOlmo2Config(**{**SIZES, **change})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("family", CLASSES)
def test_round_trip(family: str, tmp_path: Path) -> None:
    config = CLASSES[family][0](
        **SIZES, positions="r2n1", rope_parameters={"rope_type": "default", "rope_theta": 5e5}
    )
    config.save_pretrained(tmp_path)
    again = AutoConfig.from_pretrained(tmp_path)
    assert type(again) is type(config)
    assert again.positions == ["rope", "rope", "nope"]
    assert again.rope_parameters == {"rope_type": "default", "rope_theta": 5e5}


def test_config_json_names_the_code_and_no_path(tmp_path: Path, make) -> None:
    model = make()
    model.config._name_or_path = "/somewhere/private"
    model.save_pretrained(tmp_path)
    text = (tmp_path / "config.json").read_text()
    assert "/somewhere" not in text
    assert json.loads(text)["auto_map"]["AutoModel"] == "modeling_repo.RepoOlmo2Model"


@pytest.mark.parametrize(
    ("family", "stock"),
    [("olmo2", Olmo2ForCausalLM), ("llama", LlamaForCausalLM), ("qwen3", Qwen3ForCausalLM)],
)
def test_a_stock_class_refuses_to_run_the_folder_as_rope(
    family: str, stock: type, make, tmp_path: Path
) -> None:
    make(family).save_pretrained(tmp_path)
    with pytest.raises(KeyError, match="repo_needs_trust_remote_code"):
        stock.from_pretrained(tmp_path)
