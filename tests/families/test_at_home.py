"""Learned positions in other people's code: adapters, meta tensors, compilers, parallel plans."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM

import repo_model
from tests.families.rows import stock_model, widen

torch.set_num_threads(1)
MIXED = ["rope", "repo", "nope", "repo"]
MAPS = ["gate_map", "content_map", "final_map"]
IDS = torch.arange(2, 22)[None]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: Any) -> Path:
    """A Llama with mixed layers, as saved."""
    place = tmp_path_factory.mktemp("llama")
    stock_model("llama").save_pretrained(place / "base")
    torch.manual_seed(3)
    widen(repo_model.load(place / "base", positions=MIXED)).save_pretrained(place / "repo")
    return place / "repo"


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        return model(IDS).logits


def test_adapters_are_recorded_extended_merged_and_reloaded(folder: Path, tmp_path: Path) -> None:
    peft = pytest.importorskip("peft")
    lora = peft.LoraConfig(target_modules=["q_proj", "k_proj"], modules_to_save=MAPS)
    plain = repo_model.load(folder)
    model = peft.get_peft_model(repo_model.load(folder), lora)
    assert torch.equal(logits(model), logits(plain))
    for name, weight in model.named_parameters():
        if weight.requires_grad:
            nn.init.normal_(weight, std=0.1)
            assert "lora_" in name or any(m in name for m in MAPS)
    with repo_model.record_positions(model) as recorder:
        adapted = logits(model)
    assert recorder.layers == [1, 3]
    with repo_model.record_positions(plain) as before:
        logits(plain)
    assert not torch.allclose(recorder[1], before[1])
    model.save_pretrained(tmp_path / "adapter")
    again = peft.PeftModel.from_pretrained(repo_model.load(folder), tmp_path / "adapter")
    assert torch.equal(logits(again), adapted)
    repo_model.extend(again, 2)
    assert not torch.equal(logits(again), adapted)
    model.merge_and_unload().save_pretrained(tmp_path / "merged")
    torch.testing.assert_close(logits(repo_model.load(tmp_path / "merged")), adapted)


def test_shapes_without_weights(folder: Path) -> None:
    """Models on the meta device, for counting and planning, and filled from there."""
    config = AutoConfig.from_pretrained(folder)
    with torch.device("meta"):
        empty = AutoModelForCausalLM.from_config(config)
        assert empty(IDS.to("meta")).logits.shape == (1, 20, 96)
    placed = AutoModelForCausalLM.from_pretrained(folder, device_map="cpu", dtype=torch.bfloat16)
    cast = repo_model.load(folder).to(torch.bfloat16)
    assert torch.equal(logits(placed), logits(cast))


def test_fewer_layers_than_saved(folder: Path) -> None:
    """As stock models: the first layers are kept. More layers than positions are refused."""
    model = AutoModelForCausalLM.from_pretrained(folder, num_hidden_layers=2)
    assert len(model.model.layers) == 2 and logits(model).isfinite().all()
    config = AutoConfig.from_pretrained(folder, num_hidden_layers=5)
    with pytest.raises(ValueError, match="positions has 4 entries, num_hidden_layers=5"):
        AutoModelForCausalLM.from_config(config)


def test_positions_of_a_compiled_model(folder: Path) -> None:
    model = repo_model.load(folder)
    expected = model(IDS, output_positions=True).positions[1]
    found = torch.compile(model, backend="eager")(IDS, output_positions=True).positions[1]
    assert torch.equal(found, expected)


@pytest.mark.parametrize("case", ["olmoe", "qwen3_moe"])
def test_experts_run_as_in_the_stock_class(case: str, tmp_path: Path) -> None:
    stock = stock_model(case)
    stock.save_pretrained(tmp_path)
    model = repo_model.load(tmp_path, positions=MIXED)
    assert model.config._experts_implementation == stock.config._experts_implementation
    usual = logits(model)
    model.set_experts_implementation("batched_mm")
    assert model.config._experts_implementation == "batched_mm"
    torch.testing.assert_close(logits(model), usual, rtol=0, atol=1e-4)


def test_tensor_parallel_is_refused_by_name(folder: Path) -> None:
    """A rank holds a part of the heads; the maps give positions for all of them."""
    model = repo_model.load(folder)
    attention = model.model.layers[1].self_attn
    for name in ("q_proj", "k_proj", "v_proj"):
        whole = getattr(attention, name)
        half = nn.Linear(whole.in_features, whole.out_features // 2, bias=False)
        setattr(attention, name, half)
    with pytest.raises(ValueError, match="do not run tensor parallel"):
        logits(model)
