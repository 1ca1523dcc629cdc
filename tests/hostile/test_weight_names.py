"""Weights under other names, of other shapes and kinds: refused by their headers as by loading them."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import repo_model
from stages.base import check_weights
from stages.common.seen import Base, Seen
from tests.families.rows import CASES, stock_model

Weights = dict[str, torch.Tensor]
FILE = "model.safetensors"


LIKE_ANOTHER = re.compile("window|linear|thetas|caps")
"""Rows of the table that have the weights of their family's first."""


@pytest.fixture(params=sorted(c for c in CASES if not LIKE_ANOTHER.search(c)), scope="module")
def saved(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of each row of the families' table, as transformers saves it."""
    folder = tmp_path_factory.mktemp("family")
    stock_model(request.param).save_pretrained(folder)
    return folder


def refused(folder: Path) -> list[str]:
    """Lines of the check by headers alone."""
    seen = Seen(None, folder)  # type: ignore[arg-type]
    seen.__dict__["base"] = Base.of(str(folder), None, folder)
    return [one.line for one in check_weights.check(seen, str(folder), folder)]


def loads(folder: Path) -> bool:
    try:
        repo_model.load(folder)
    except (ValueError, RuntimeError):
        return False
    return True


def prefixed(prefix: str) -> Callable[[Weights], Weights]:
    return lambda weights: {f"{prefix}{name}": value for name, value in weights.items()}


def replaced(old: str, new: str) -> Callable[[Weights], Weights]:
    return lambda weights: {re.sub(old, new, name): value for name, value in weights.items()}


def without(end: str) -> Callable[[Weights], Weights]:
    return lambda weights: {n: v for n, v in weights.items() if not n.endswith(end)}


def more(name: str, *size: int) -> Callable[[Weights], Weights]:
    return lambda weights: {**weights, name: torch.zeros(size)}


def turned(weights: Weights) -> Weights:
    """A matrix as Conv1D of GPT-2 has it."""
    name = next(n for n in weights if re.search("down_proj(?!.bias)", n))
    return {**weights, name: weights[name].transpose(-1, -2).contiguous()}


def headless(weights: Weights) -> Weights:
    """As AutoModel saves it."""
    return {n.removeprefix("model."): v for n, v in weights.items()}


ODD: dict[str, Callable[[Weights], Weights]] = {
    "as saved": dict,
    "of the base model": headless,
    "old frequencies": more("model.layers.0.self_attn.rotary_emb.inv_freq", 4),
    "old frequencies, once": more("model.rotary_emb.inv_freq", 4),
    "head below model": replaced(r"^lm_head", "model.lm_head"),
    "transformer": replaced(r"^model\.", "transformer."),
    "language model": prefixed("language_model."),
    "language model's model": replaced(r"^model\.", "language_model.model."),
    "model's language model": replaced(r"^model\.", "model.language_model."),
    "model twice": prefixed("model."),
    "compiled": prefixed("_orig_mod."),
    "DDP": prefixed("module."),
    "FSDP": prefixed("_fsdp_wrapped_module."),
    "PEFT": prefixed("base_model.model."),
    "LoRA layers": replaced(r"q_proj\.weight", "q_proj.base_layer.weight"),
    "LoRA beside": more("model.layers.0.self_attn.q_proj.lora_A.default.weight", 2, 32),
    "Mistral's own": replaced(r"^model\.layers\.(\d+)\.self_attn\.q_proj", r"layers.\1.attention.wq"),
    "no embedding": without("embed_tokens.weight"),
    "no last norm": without("model.norm.weight"),
    "no down": without("layers.3.mlp.down_proj.weight"),
    "a layer more": more("model.layers.4.input_layernorm.weight", 32),
    "a head of rewards": more("score.weight", 1, 32),
    "a vision tower": more("vision_tower.patch.weight", 4, 4),
    "a bias": more("model.layers.0.self_attn.q_proj.bias", 32),
    "another head": more("lm_head.weight", 100, 32),
    "maps": more("model.layers.0.self_attn.final_map.weight", 2, 4),
    "turned": turned,
    "rows": more("model.embed_tokens.weight", 104, 32),
}  # fmt: skip


@pytest.mark.parametrize("name", ODD)
def test_headers_tell_what_loading_would(name: str, saved: Path, tmp_path: Path) -> None:
    weights = ODD[name](load_file(saved / FILE))
    (tmp_path / "config.json").write_bytes((saved / "config.json").read_bytes())
    save_file(weights, tmp_path / FILE, {"format": "pt"})
    found = refused(tmp_path)
    assert (found == []) == loads(tmp_path), found
    assert len(found) <= 1
    if found:
        assert re.match(r"base\.source is .*: .*; .+", found[0])
