"""`examples/trainer.py` as a user runs it: a step, a checkpoint, on from there; LoRA merged."""

import json
import runpy
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, pipeline

import repo_model
from tests.families.rows import BASE
from tests.stages.bytes_tokenizer import VOCABULARY, save_tokenizer

pytest.importorskip("peft", reason="the extra `examples` is not installed")
torch.set_num_threads(1)
SCRIPT = Path(__file__).parents[2] / "examples" / "trainer.py"


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A stock folder with its tokenizer, and `text.txt` beside it."""
    torch.manual_seed(0)
    config = LlamaConfig(**{**BASE, "vocab_size": VOCABULARY, "num_hidden_layers": 2})
    LlamaForCausalLM(config).save_pretrained(tmp_path / "base")
    save_tokenizer(tmp_path / "base")
    (tmp_path / "text.txt").write_text("a b c " * 60)
    return tmp_path / "base"


@pytest.mark.parametrize("lora", [False, True])
def test_a_step_a_checkpoint_and_on_from_there(base: Path, lora: bool, monkeypatch: Any) -> None:
    out = base.parent / "out"
    for steps in ("1", "2"):
        arguments = [str(base), str(base.parent / "text.txt"), str(out), "--length", "32"]
        options = ["--steps", steps, "--start-layer", "1", *["--lora"] * lora]
        monkeypatch.setattr(sys, "argv", [str(SCRIPT), *arguments, *options])
        runpy.run_path(str(SCRIPT), run_name="__main__")
    state = json.loads((out / "checkpoint-2" / "trainer_state.json").read_text())
    assert [log["step"] for log in state["log_history"] if "loss" in log] == [1, 2]
    assert (out / "checkpoint-2" / "adapter_config.json").is_file() == lora

    before = repo_model.load(base, positions="repo", start_layer=1).state_dict()
    trained = repo_model.load(out / "final")
    assert trained.config.positions == ["rope", "repo"]
    moved = {name for name, w in trained.state_dict().items() if not torch.equal(w, before[name])}
    attention = {f"model.layers.{i}.self_attn.{p}_proj.weight" for i in (0, 1) for p in "qkv"}
    maps = {f"model.layers.1.self_attn.{m}_map.weight" for m in ("gate", "content", "final")}
    assert moved >= attention | maps
    if lora:
        assert moved == attention | maps
    teller = pipeline("text-generation", str(out / "final"), trust_remote_code=True)
    told = teller("a b", max_new_tokens=3, return_full_text=False, do_sample=False)
    assert told[0]["generated_text"]
