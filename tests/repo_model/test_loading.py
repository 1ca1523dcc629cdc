"""Formats told apart, complete or not at all, one clear line for everything else."""

import json
import logging
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    Olmo2Config,
    Olmo2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

import repo_model
from repo_model.formats import official_positions

STOCK = {
    "olmo2": (Olmo2Config, Olmo2ForCausalLM),
    "llama": (LlamaConfig, LlamaForCausalLM),
    "qwen3": (Qwen3Config, Qwen3ForCausalLM),
}


def save_stock(family: str, folder: Path, **overrides):
    from tests.repo_model.conftest import SIZES

    config_class, model_class = STOCK[family]
    extra = {"head_dim": 8} if family == "qwen3" else {}
    torch.manual_seed(3)
    model = model_class(config_class(**{**SIZES, **extra, **overrides})).eval()
    model.save_pretrained(folder)
    return model


@pytest.mark.parametrize("family", STOCK)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("tied", [False, True])
def test_rope_is_the_stock_model_to_the_bit(
    family: str, dtype, tied: bool, ids, tmp_path: Path
) -> None:
    save_stock(family, tmp_path, num_key_value_heads=2, tie_word_embeddings=tied)
    stock = STOCK[family][1].from_pretrained(tmp_path, dtype=dtype).eval()
    ours = repo_model.load(tmp_path, positions="rope", dtype=dtype)
    assert not ours.training
    for model in (stock, ours):
        model(ids, labels=ids).loss.backward()
    with torch.no_grad():
        assert torch.equal(ours(ids).logits, stock(ids).logits)
    for (name, a), (_, b) in zip(stock.named_parameters(), ours.named_parameters(), strict=True):
        assert torch.equal(a.grad, b.grad), name


def test_fresh_maps_may_be_larger_and_stored_ones_stay(tmp_path: Path) -> None:
    save_stock("llama", tmp_path / "base")
    made = []
    for std in (0.02, 0.05):
        torch.manual_seed(3)
        made.append(repo_model.load(tmp_path / "base", positions="repo", map_std=std))
    usual, larger = (dict(model.named_parameters()) for model in made)
    for name, weight in usual.items():
        factor = 2.5 if "_map." in name else 1.0
        torch.testing.assert_close(larger[name], weight * factor)
    made[0].save_pretrained(tmp_path / "repo")
    again = repo_model.load(tmp_path / "repo", map_std=0.05)
    assert all(w.equal(usual[name]) for name, w in again.named_parameters())


@pytest.mark.parametrize("name", ["torch.bfloat16", "float8_whatever"])
def test_a_dtype_that_torch_does_not_know_by_that_name(name: str, tmp_path: Path) -> None:
    stock = save_stock("llama", tmp_path)
    content = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**content, "dtype": name}))
    model = repo_model.load(tmp_path)
    assert model.dtype == torch.float32  # the weights' own
    assert torch.equal(model.lm_head.weight, stock.lm_head.weight)


@pytest.mark.parametrize("family", STOCK)
def test_a_base_model_made_ready_for_repo(family: str, tmp_path: Path) -> None:
    stock = save_stock(family, tmp_path, num_key_value_heads=2)
    models = []
    for _ in range(2):
        torch.manual_seed(5)
        models.append(repo_model.load(tmp_path, positions="repo", start_layer=1))
    assert models[0].config.positions == ["rope", "repo", "repo"]
    for (name, a), (_, b) in zip(
        models[0].named_parameters(), models[1].named_parameters(), strict=True
    ):
        assert torch.equal(a, b), name
    for name, value in stock.state_dict().items():
        assert torch.equal(models[0].state_dict()[name], value), name
    final = models[0].model.layers[1].self_attn.final_map.weight
    assert final.shape[0] == 2
    assert 0 < final.abs().max() <= 0.06


def test_own_rope_checkpoint_becomes_repo_and_not_back(make, tmp_path: Path) -> None:
    make(positions="rope").save_pretrained(tmp_path / "base")
    model = repo_model.load(tmp_path / "base", positions="repo", start_layer=2)
    model.save_pretrained(tmp_path / "repo")
    assert repo_model.load(tmp_path / "repo").config.positions == ["rope", "rope", "repo"]
    with pytest.raises(ValueError, match="3 weights are unexpected"):
        repo_model.load(tmp_path / "repo", positions="rope")
    more = repo_model.load(tmp_path / "repo", positions="repo", start_layer=1)
    kept = more.model.layers[2].self_attn.gate_map.weight
    assert torch.equal(kept, model.model.layers[2].self_attn.gate_map.weight)


def pe(mode: str = "swigluex_multihead", **keys) -> dict:
    return {"dynamic_pe_mode": mode, **keys}


@pytest.mark.parametrize(
    ("pe_config", "expected"),
    [
        (pe("none", dynmaic_pe_start_layer=1), "rope rope rope"),
        (pe("nope", dynmaic_pe_start_layer=0), "nope nope nope"),
        (pe("nope", dynmaic_pe_layer_ids="2"), "rope rope nope"),
        (pe(dynmaic_pe_start_layer=2, dynamic_pe_start_layer=2), "rope rope repo"),
        (pe(dynmaic_pe_start_layer=1), "rope repo repo"),
        (pe(dynamic_pe_start_layer=2), "rope rope repo"),
        (pe(), "repo repo repo"),
        (pe(dynamic_pe_layer_ids="0,2"), "repo rope repo"),
        (pe(dynamic_pe_layer_ids=[1]), "rope repo rope"),
        (pe(dynmaic_pe_layer_ids="0, 2", dynmaic_pe_start_layer=1), "rope rope repo"),
    ],
)
def test_official_positions(pe_config: dict, expected: str) -> None:
    assert official_positions(pe_config, 3) == expected.split()


def test_the_misspelt_key_wins_with_a_warning(caplog) -> None:
    with caplog.at_level(logging.WARNING):
        types = official_positions(pe(dynmaic_pe_start_layer=1, dynamic_pe_start_layer=2), 3)
    assert types == ["rope", "repo", "repo"]
    assert "disagree" in caplog.text


def test_other_official_modes_are_refused_by_name() -> None:
    with pytest.raises(ValueError, match="dynamic_pe_mode='alibi' is not supported"):
        official_positions(pe("alibi"), 3)
    with pytest.raises(ValueError, match="dynamic_pe_layer_ids='all' is not a comma list"):
        official_positions(pe(dynamic_pe_layer_ids="all"), 3)


@pytest.fixture
def folder(make, tmp_path: Path) -> Path:
    make().save_pretrained(tmp_path)
    return tmp_path


def drop(folder: Path, *names: str, **extra: torch.Tensor) -> None:
    weights = load_file(folder / "model.safetensors")
    for name in names:
        del weights[name]
    save_file({**weights, **extra}, folder / "model.safetensors", metadata={"format": "pt"})


def refuses(folder: Path, message: str, **kwargs) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        repo_model.load(folder, **kwargs)
    assert "\n" not in str(caught.value)


def test_a_missing_map(folder: Path) -> None:
    drop(folder, "model.layers.1.self_attn.final_map.weight")
    refuses(folder, "1 weights are missing, first model.layers.1.self_attn.final_map.weight")


def test_a_missing_stock_weight(folder: Path) -> None:
    drop(folder, "model.layers.0.mlp.up_proj.weight")
    refuses(folder, "missing, first model.layers.0.mlp.up_proj.weight")


def test_an_unexpected_weight(folder: Path) -> None:
    drop(folder, **{"model.layers.0.self_attn.gate_map.weight": torch.zeros(4, 32)})
    refuses(
        folder, "unexpected, first model.layers.0.self_attn.gate_map.weight; its config.json hides"
    )


def test_a_weight_of_another_shape(folder: Path) -> None:
    drop(folder, "lm_head.weight", **{"lm_head.weight": torch.zeros(95, 32)})
    refuses(folder, "shape")


def test_a_truncated_file(folder: Path) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    refuses(folder, "damaged or cut short")


def test_a_pickle_instead_of_safetensors(folder: Path) -> None:
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    refuses(folder, r"only pickled weights \(pytorch_model.bin\)")


def test_a_pickle_named_safetensors(folder: Path) -> None:
    torch.save({"lm_head.weight": torch.zeros(96, 32)}, folder / "model.safetensors")
    refuses(folder, "damaged or cut short")


def test_an_empty_file(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"")
    refuses(folder, "damaged or cut short")


def test_a_missing_shard(make, tmp_path: Path) -> None:
    make().save_pretrained(tmp_path, max_shard_size="20KB")
    shards = sorted(tmp_path.glob("model-*.safetensors"))
    repo_model.load(tmp_path)
    shards[1].unlink()
    refuses(tmp_path, shards[1].name)


def test_no_model_folder(tmp_path: Path) -> None:
    refuses(tmp_path, "no config.json")


def test_start_layer_beyond_the_depth(folder: Path) -> None:
    refuses(folder, "start_layer=3 is outside", positions="repo", start_layer=3)
    refuses(folder, "need positions='repo'", start_layer=1)


def test_an_unsupported_family(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "gpt2"}))
    refuses(folder, "model_type='gpt2' is not supported; supported: olmo2, olmo3, llama")
