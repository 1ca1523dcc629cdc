"""What the official repository makes hard (PAPER.md section 7), a test each that it cannot happen.

Elsewhere: NoPE layers with a KV cache and GQA (test_generation.py, test_identities.py), gradient
checkpointing (test_training.py), YaRN and its factor (test_yarn.py), conversion (test_convert.py),
silent plain RoPE in stock classes (test_configuration.py). Here they run once more by their name.
"""

import ast
import json
import sys
from pathlib import Path

import pytest
import torch

import repo_model
from repo_model.convert import convert

PACKAGE = Path(repo_model.__file__).parent
OFFICIAL_STUBS = ["rope", "alibi", "linear", "swiglu", "multihead", "swigluex", "dynamic", ""]


def official(make, folder: Path, **pe_config) -> Path:
    """A tiny checkpoint in the official format with this pe_config."""
    convert_from = folder / "own"
    make(positions=["rope", "rope", "repo"]).save_pretrained(convert_from)
    convert(convert_from, folder / "official", "official")
    file = folder / "official" / "config.json"
    config = json.loads(file.read_text())
    config["pe_config"] = {"dynamic_pe_mode": "swigluex_multihead", **pe_config}
    file.write_text(json.dumps(config))
    return folder / "official"


def test_no_vendored_forks_only_torch_transformers_safetensors() -> None:
    allowed = {"torch", "transformers", "safetensors", "triton", "yaml", *sys.stdlib_module_names}
    for file in PACKAGE.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                assert node.level < 2
                assert node.level == 0 or (node.module and "." not in node.module)
                names = [node.module] if node.level == 0 and node.module else []
            assert {name.split(".")[0] for name in names} <= allowed, file.name
    assert not [
        entry for entry in PACKAGE.iterdir() if entry.is_dir() and entry.name != "__pycache__"
    ]


def test_the_converter_works_for_every_mode(make, tmp_path: Path) -> None:
    for mode in ("rope", "nope", "repo"):
        make(positions=mode).save_pretrained(tmp_path / mode)
        convert(tmp_path / mode, tmp_path / f"{mode}-official", "official")
        again = repo_model.load(tmp_path / f"{mode}-official")
        assert again.config.positions == repo_model.layer_types(mode, 3)


def test_only_the_correct_spelling_is_no_repo_everywhere_with_random_maps(
    make, tmp_path: Path
) -> None:
    folder = official(make, tmp_path, dynamic_pe_start_layer=2, dynamic_pe_layer_ids="")
    assert repo_model.load(folder).config.positions == ["rope", "rope", "repo"]


def test_maps_are_never_made_up(make, tmp_path: Path) -> None:
    folder = official(make, tmp_path, dynmaic_pe_start_layer=0)
    with pytest.raises(ValueError, match=r"6 weights are missing, first model\.layers\.0.*_map"):
        repo_model.load(folder)


def test_nope_layers_work_with_a_cache(make, ids) -> None:
    model = make(positions="nope")
    with torch.no_grad():
        first = model(ids[:, :-1], use_cache=True)
        last = model(ids[:, -1:], past_key_values=first.past_key_values).logits
        torch.testing.assert_close(last, model(ids).logits[:, -1:], rtol=0, atol=1e-5)


def test_gradient_checkpointing_runs(make, ids) -> None:
    model = make().train()
    model.gradient_checkpointing_enable()
    model(ids, labels=ids).loss.backward()
    assert model.model.layers[1].self_attn.gate_map.weight.grad.abs().max() > 0


def test_gqa_runs(make, ids) -> None:
    model = make(num_key_value_heads=2)
    with torch.no_grad(), repo_model.record_positions(model) as recorder:
        assert model(ids).logits.shape == (2, 20, 96)
    assert recorder[1].shape == (2, 2, 20)


def test_yarn_is_accepted_and_its_factor_matters(make, ids) -> None:
    with torch.no_grad():
        two = repo_model.extend(make(), 2)(ids).logits
        four = repo_model.extend(make(), 4)(ids).logits
    assert (two - four).abs().max() > 1e-4


@pytest.mark.parametrize("mode", OFFICIAL_STUBS)
def test_no_mode_silently_runs_plain_rope(make, mode: str, tmp_path: Path) -> None:
    folder = official(make, tmp_path, dynamic_pe_mode=mode)
    with pytest.raises(ValueError, match=f"dynamic_pe_mode='{mode}' is not supported"):
        repo_model.load(folder)


def test_a_hidden_pe_config_is_noticed_by_its_weights(make, tmp_path: Path) -> None:
    """Stock transformers warns of unused weights and runs RoPE; here it is an error."""
    folder = official(make, tmp_path)
    config = json.loads((folder / "config.json").read_text())
    del config["pe_config"]
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match="hides learned positions"):
        repo_model.load(folder)


def test_positions_are_exact_where_the_official_ones_are_rounded(make, ids) -> None:
    """Official: z in bf16, off by up to 0.25 for |z| in [64, 128); here within 1e-5 of |z|."""
    model = make().to(torch.bfloat16)
    model.model.layers[1].self_attn.final_map.weight.data.mul_(300)
    with torch.no_grad(), repo_model.record_positions(model) as recorder:
        model(ids)
    z = recorder[1]
    assert z.abs().max() > 64
    assert (z.to(torch.bfloat16).float() != z).float().mean() > 0.9


def test_no_home_directories_or_tokens() -> None:
    for file in PACKAGE.glob("*.py"):
        text = file.read_text()
        assert not any(word in text for word in ("/home/", "/Users/", "/work/", "hf_")), file.name
