"""Conversion both ways, bit for bit, and from OLMo's training format."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

import repo_model
from repo_model.convert import main

PATTERNS = [
    "rope repo repo",
    "repo rope repo",
    "rope rope rope",
    "nope nope nope",
    "rope rope nope",
]


def same(a: Path, b: Path) -> None:
    one, two = load_file(a / "model.safetensors"), load_file(b / "model.safetensors")
    assert one.keys() == two.keys()
    for name, value in one.items():
        assert value.dtype == two[name].dtype, name
        assert torch.equal(value, two[name]), name


@pytest.mark.parametrize("positions", PATTERNS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_round_trip_through_the_official_format(
    make, ids, positions: str, dtype, tmp_path: Path
) -> None:
    model = make(positions=positions.split()).to(dtype)
    model.save_pretrained(tmp_path / "hf")
    (tmp_path / "hf" / "tokenizer.json").write_text("{}")
    assert main([str(tmp_path / "hf"), str(tmp_path / "official"), "--to", "official"]) == 0
    assert main([str(tmp_path / "official"), str(tmp_path / "again"), "--to", "hf"]) == 0
    same(tmp_path / "hf", tmp_path / "official")
    for name in ("model.safetensors", "config.json", "tokenizer.json", "modeling_repo.py"):
        assert (tmp_path / "hf" / name).read_bytes() == (tmp_path / "again" / name).read_bytes(), (
            name
        )
    assert not list((tmp_path / "official").glob("*.py"))
    loaded = repo_model.load(tmp_path / "official", dtype=dtype)
    with torch.no_grad():
        assert torch.equal(loaded(ids).logits, model(ids).logits)


def test_the_official_checkpoint_both_ways(golden: Path, tmp_path: Path) -> None:
    assert main([str(golden), str(tmp_path / "hf"), "--to", "hf"]) == 0
    assert main([str(tmp_path / "hf"), str(tmp_path / "official"), "--to", "official"]) == 0
    same(golden, tmp_path / "official")
    ours, theirs = (
        json.loads((f / "config.json").read_text()) for f in (tmp_path / "official", golden)
    )
    for key in (
        "architectures",
        "model_type",
        "rope_theta",
        "rope_scaling",
        "hidden_size",
        "torch_dtype",
    ):
        assert ours[key] == theirs[key], key
    for key, value in ours["pe_config"].items():
        assert theirs["pe_config"][key] == value, key


def test_weights_keep_their_bits_whatever_config_says(make, tmp_path: Path) -> None:
    make().save_pretrained(tmp_path / "hf")
    config = json.loads((tmp_path / "hf" / "config.json").read_text())
    (tmp_path / "hf" / "config.json").write_text(json.dumps({**config, "dtype": "bfloat16"}))
    assert main([str(tmp_path / "hf"), str(tmp_path / "official"), "--to", "official"]) == 0
    same(tmp_path / "hf", tmp_path / "official")


def native(model: Any, folder: Path, pickled: bool) -> None:
    """Write an unsharded OLMo checkpoint of a model: the inverse of PAPER.md section 6's list."""
    w = model.state_dict()
    out = {
        "transformer.wte.weight": w["model.embed_tokens.weight"],
        "transformer.ln_f.weight": w["model.norm.weight"],
        "transformer.ff_out.weight": w["lm_head.weight"],
    }
    for i, kind in enumerate(model.config.positions):
        block, layer = f"transformer.blocks.{i}.", f"model.layers.{i}."
        attention = layer + "self_attn."
        out[block + "att_proj.weight"] = torch.cat(
            [w[f"{attention}{x}_proj.weight"] for x in "qkv"]
        )
        out[block + "attn_out.weight"] = w[attention + "o_proj.weight"]
        for x in (
            "q_norm",
            "k_norm",
            *(("gate_map", "content_map", "final_map") if kind == "repo" else ()),
        ):
            out[f"{block}{x}.weight"] = w[f"{attention}{x}.weight"]
        up_gate = [w[f"{layer}mlp.{x}_proj.weight"] for x in ("up", "gate")]
        out[block + "ff_proj.weight"] = torch.cat(up_gate)
        out[block + "ff_out.weight"] = w[layer + "mlp.down_proj.weight"]
        out[block + "attn_norm.weight"] = w[layer + "post_attention_layernorm.weight"]
        out[block + "ff_norm.weight"] = w[layer + "post_feedforward_layernorm.weight"]
    c = model.config
    sizes = {
        "n_heads": c.num_attention_heads,
        "rope_theta": c.rope_parameters["rope_theta"],
        "max_sequence_length": c.max_position_embeddings,
        "layer_norm_eps": c.rms_norm_eps,
        "eos_token_id": c.eos_token_id,
        "pad_token_id": c.pad_token_id,
    }
    folder.mkdir()
    (folder / "config.yaml").write_text(yaml.safe_dump({"model": sizes}))
    out = {name: value.contiguous() for name, value in out.items()}
    if pickled:
        torch.save(out, folder / "model.pt")
    else:
        save_file(out, folder / "model.safetensors")


@pytest.mark.parametrize("pickled", [True, False])
@pytest.mark.parametrize("kv_heads", [4, 2])
def test_olmo_native_to_ours(make, pickled: bool, kv_heads: int, tmp_path: Path) -> None:
    model = make(num_key_value_heads=kv_heads)
    model.save_pretrained(tmp_path / "expected")
    native(model, tmp_path / "native", pickled)
    assert main([str(tmp_path / "native"), str(tmp_path / "ours"), "--to", "hf"]) == 0
    for name in ("model.safetensors", "config.json"):
        found = (tmp_path / "ours" / name).read_bytes()
        assert found == (tmp_path / "expected" / name).read_bytes(), name


def test_nope_layers_of_a_native_checkpoint_are_named(make, tmp_path: Path) -> None:
    native(make(positions="r2n1"), tmp_path / "native", False)
    assert (
        main(
            [str(tmp_path / "native"), str(tmp_path / "ours"), "--to", "hf", "--positions", "r2n1"]
        )
        == 0
    )
    assert repo_model.load(tmp_path / "ours").config.positions == ["rope", "rope", "nope"]


@pytest.mark.parametrize(
    ("build", "message"),
    [
        ({"positions": ["nope", "repo", "repo"]}, "cannot mix nope and repo"),
        ({"num_key_value_heads": 2}, "breaks on RePo with grouped"),
        ({"family": "llama"}, "knows OLMo-2 only"),
    ],
)
def test_what_the_official_format_cannot_say(
    make, build: dict, message: str, tmp_path: Path, capsys
) -> None:
    make(**build).save_pretrained(tmp_path / "hf")
    assert main([str(tmp_path / "hf"), str(tmp_path / "official"), "--to", "official"]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert message in error
    assert not (tmp_path / "official").exists()


def test_yarn_and_bad_folders(make, tmp_path: Path, capsys) -> None:
    repo_model.extend(make(), 2).save_pretrained(tmp_path / "hf")
    for source, target, message in (
        ("hf", "official", "no YaRN"),
        ("nothing", "official", "no such folder"),
        ("hf", "hf", "is not empty"),
    ):
        assert main([str(tmp_path / source), str(tmp_path / target), "--to", "official"]) == 2
        assert message in capsys.readouterr().err
