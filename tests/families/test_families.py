"""Every row of the table against the stock class, and what learned positions need of it."""

import inspect
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import repo_model
from repo_model.families import FAMILIES
from repo_model.family_facts import FACTS, facts_of
from repo_model.frequencies import rotary_frequencies
from repo_model.rope_settings import extendable
from stages.base.check_rotation import ROPE_TYPES
from stages.evaluate.engine import window_losses
from stages.extend.check import EXTENDABLE
from stages.training.engine import _Objective
from tests.families.rows import BASE, CASES, LINEAR, LLAMA3, stock_model, widen

torch.set_num_threads(1)
MIXED = ["rope", "repo", "nope", "repo"]
EVERY = pytest.mark.parametrize("case", list(CASES))


@pytest.fixture
def ids() -> torch.Tensor:
    """Token ids [2, 20], longer than every window."""
    return torch.randint(2, 96, (2, 20), generator=torch.Generator().manual_seed(1))


def logits(model: Any, ids: torch.Tensor, **options: Any) -> torch.Tensor:
    with torch.no_grad():
        return model(ids, **options).logits


def ours(case: str, folder: Path, positions: Any = "rope", **options: Any) -> Any:
    """The case's stock model, saved and loaded with positions of ours."""
    stock_model(case).save_pretrained(folder)
    torch.manual_seed(3)
    return widen(repo_model.load(folder, positions=positions, **options))


def test_every_row_is_tried() -> None:
    assert {family for family, _ in CASES.values()} == set(FACTS) == set(FAMILIES)


@EVERY
@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_rope_is_the_stock_model_to_the_bit(case: str, attention: str, tmp_path, ids) -> None:
    if attention == "sdpa" and not type(stock_model(case))._supports_sdpa:
        pytest.skip("the stock class has no sdpa")
    stock = stock_model(case, attention)
    stock.save_pretrained(tmp_path)
    model = repo_model.load(tmp_path, attn_implementation=attention)
    assert torch.equal(logits(model, ids), logits(stock, ids))
    mask = torch.ones_like(ids)
    mask[0, :7] = 0
    assert torch.equal(
        logits(model, ids, attention_mask=mask), logits(stock, ids, attention_mask=mask)
    )
    assert {name for name in vars(stock) if name[0] != "_"} <= set(vars(model))


@EVERY
def test_integer_positions_in_learned_layers_are_rope(case: str, tmp_path, ids) -> None:
    """A `repo` layer whose z is the token index equals the stock layer: projections, norms, windows,
    frequencies, caps. SmolLM3's layers without rotation equal `nope` ones."""
    stock = stock_model(case)
    types = [
        "repo" if rotates else "nope"
        for rotates in getattr(stock.config, "no_rope_layers", [1] * 4)
    ]
    model = ours(case, tmp_path, types)
    index = torch.arange(ids.shape[1])[None, :, None].float()
    learned = [i for i, kind in enumerate(types) if kind == "repo"]
    with repo_model.override_positions(model, dict.fromkeys(learned, index)):
        assert (logits(model, ids) - logits(stock, ids)).abs().max() < 2e-4


@EVERY
def test_cache_equals_no_cache(case: str, tmp_path, ids) -> None:
    model = ours(case, tmp_path, MIXED)
    whole = logits(model, ids)
    with torch.no_grad():
        out = model(ids[:, :9], use_cache=True)
        parts = [out.logits]
        for start, end in ((9, 10), (10, 11), (11, 16), (16, 20)):
            out = model(ids[:, start:end], past_key_values=out.past_key_values, use_cache=True)
            parts.append(out.logits)
    assert (torch.cat(parts, 1) - whole).abs().max() < 1e-4
    made = model.generate(ids[:1], max_new_tokens=4, do_sample=False, eos_token_id=None)
    again = ids[:1]
    for _ in range(4):
        again = torch.cat((again, logits(model, again)[:, -1:].argmax(-1)), 1)
    assert torch.equal(made, again)


@EVERY
def test_gradients_reach_everything(case: str, tmp_path, ids) -> None:
    model = ours(case, tmp_path, MIXED).train()
    model(ids, labels=ids).loss.backward()
    for name, weight in model.named_parameters():
        assert weight.grad is not None and weight.grad.isfinite().all(), name
        assert weight.grad.abs().max() > 0, name


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


@EVERY
def test_extension(case: str, tmp_path, ids) -> None:
    """Saved, loaded with another factor, and taken back; `rope` layers too."""
    model = ours(case, tmp_path / "base", MIXED)
    before = logits(model, ids)
    model.save_pretrained(tmp_path / "trained", max_shard_size="20KB")
    repo_model.extend(model, 4)
    extended = logits(model, ids)
    assert not torch.equal(extended, before)
    assert model.config.max_position_embeddings == 256
    assert extendable(model.config)["original_max_position_embeddings"] == 64
    model.config.validate_rope()
    model.save_pretrained(tmp_path / "out", max_shard_size="20KB")
    repo_model.extend_folder(tmp_path / "trained", tmp_path / "unread", 4)
    assert contents(tmp_path / "unread") == contents(tmp_path / "out")
    assert torch.equal(logits(repo_model.load(tmp_path / "out"), ids), extended)
    plain = repo_model.load(tmp_path / "out", yarn_factor=1)
    assert torch.equal(logits(plain, ids), before)
    assert plain.config.max_position_embeddings == 64
    half = repo_model.extend(plain, 2)
    assert torch.equal(
        logits(repo_model.load(tmp_path / "out", yarn_factor=2), ids), logits(half, ids)
    )


@EVERY
def test_frequencies_are_the_stock_ones(case: str, tmp_path) -> None:
    model = ours(case, tmp_path, MIXED)
    rotary, config = model.model.rotary_emb, model.config
    for factor in (None, 4):
        if factor:
            repo_model.extend(model, factor)
            rotary = model.model.rotary_emb
        for i in range(config.num_hidden_layers):
            kind = (getattr(config, "layer_types", None) or ["full_attention"] * 4)[i]
            prefix = f"{kind}_" if facts_of(config).rotary == "by_layer_type" else ""
            inv_freq, magnitude = rotary_frequencies(config, "rope", kind)
            assert torch.equal(getattr(rotary, f"{prefix}inv_freq"), inv_freq)
            assert getattr(rotary, f"{prefix}attention_scaling") == magnitude
    half = model.to(torch.bfloat16).model.rotary_emb
    assert all(b.dtype == torch.float32 for n, b in half.named_buffers() if "inv_freq" in n)


@EVERY
def test_the_signature_is_the_stock_one_and_positions_come_out(case: str, tmp_path, ids) -> None:
    model = ours(case, tmp_path, MIXED, attn_implementation="eager")
    stock = type(stock_model(case))
    assert inspect.signature(type(model).forward) == inspect.signature(stock.forward)
    assert "input_ids" in inspect.signature(model.model.forward).parameters
    with repo_model.record_positions(model) as recorder, torch.no_grad():
        out = model(ids, output_positions=True, output_attentions=True)
        base = model.model(ids, output_positions=True)
        flat = model(ids, output_positions=True, return_dict=False)
    assert [z is not None for z in out.positions] == [kind == "repo" for kind in MIXED]
    assert (
        out.positions[1].shape == (2, model.config.num_key_value_heads, 20)
        and len(out.attentions) == 4
    )
    assert torch.equal(out.positions[3], recorder[3][..., :20])
    assert torch.equal(base.positions[1], out.positions[1])
    assert torch.equal(flat[-1][1], out.positions[1])
    assert "positions" not in model(ids)
    model(ids, output_positions=True).positions[1].sum().backward()
    assert model.model.layers[1].self_attn.gate_map.weight.grad.abs().sum() > 0


STOCK = """
import sys, torch
sys.modules["repo_model"] = None                     # not importable, installed or not
from transformers import AutoModelForCausalLM
ids = torch.arange(2, 22)[None]
for folder in sys.argv[1:]:
    model = AutoModelForCausalLM.from_pretrained(folder, trust_remote_code=True)
    torch.save(model(ids).logits.detach(), folder + ".pt")
    model.save_pretrained(folder + "-again")
"""


def test_saved_folders_load_in_stock_transformers(tmp_path: Path) -> None:
    """All cases, mixed layers, extended, in one bare process without our package."""
    ids = torch.arange(2, 22)[None]
    expected = {}
    for case in CASES:
        model = repo_model.extend(ours(case, tmp_path / "base" / case, MIXED), 2)
        model.save_pretrained(tmp_path / case)
        expected[case] = logits(model, ids)
    home = tmp_path / "home"
    home.mkdir()
    env = {**os.environ, "HF_HOME": str(home), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    folders = [str(tmp_path / case) for case in CASES]
    command = [sys.executable, "-I", "-c", STOCK, *folders]
    done = subprocess.run(command, cwd=home, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    for case in CASES:
        assert torch.equal(torch.load(tmp_path / f"{case}.pt"), expected[case]), case
        again = {p.name: p.read_bytes() for p in (tmp_path / f"{case}-again").iterdir()}
        assert again == {p.name: p.read_bytes() for p in (tmp_path / case).iterdir()}, case


def test_what_cannot_be_trained_is_refused_at_once(tmp_path: Path) -> None:
    """Quantised weights, lone adapters, frequencies that change with the length; all in words."""
    stock_model("llama").save_pretrained(tmp_path / "base")
    text = (tmp_path / "base" / "config.json").read_text()
    scaled = {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 1e4}
    for change, words in (
        ({"quantization_config": {"quant_method": "fp8"}}, r"quantised \(fp8\)"),
        ({"rope_parameters": scaled}, "rope_type='dynamic'"),
        ({"rope_scaling": {"type": "longrope", "long_factor": [1.0]}}, "rope_type='longrope'"),
    ):
        changed = json.dumps({**json.loads(text), **change})
        (tmp_path / "base" / "config.json").write_text(changed)
        with pytest.raises(ValueError, match=words):
            repo_model.load(tmp_path / "base")
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text("{}")
    (adapter / "adapter_model.safetensors").write_bytes(b"")
    with pytest.raises(ValueError, match="an adapter without its base model"):
        repo_model.load(adapter)


def test_stored_fp32_stays_fp32_whatever_the_configuration_says(tmp_path: Path) -> None:
    stock = stock_model("llama")
    stock.save_pretrained(tmp_path)
    text = (tmp_path / "config.json").read_text()
    assert '"dtype": "float32"' in text
    (tmp_path / "config.json").write_text(text.replace("float32", "bfloat16"))
    loaded = repo_model.load(tmp_path, positions="repo")
    for name, weight in stock.named_parameters():
        assert torch.equal(loaded.state_dict()[name], weight), name
    assert repo_model.load(tmp_path, dtype=torch.bfloat16).dtype == torch.bfloat16


@EVERY
def test_losses_computed_in_chunks_are_the_model_s(case: str, tmp_path, ids) -> None:
    """Training and evaluation call the head themselves; what families do to logits must not be lost."""
    model = ours(case, tmp_path, MIXED)
    with torch.no_grad():
        expected = model(ids[:1], labels=ids[:1]).loss
        if hasattr(model, "router_aux_loss_coef"):
            expected = torch.nn.functional.cross_entropy(model(ids[:1]).logits[0, :-1], ids[0, 1:])
        found, _ = _Objective(model, 0.0, None, "chunked")(ids[:1])
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)
    assert window_losses(model, [ids[0].tolist()])[0] == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize("case", ["gemma2-caps", "qwen2-window-tied", "olmo3"])
def test_attention_mass_is_that_of_eager_attention(case: str, tmp_path, ids) -> None:
    model = ours(case, tmp_path, MIXED, attn_implementation="eager")
    spans, queries = torch.zeros_like(ids).bool(), torch.zeros_like(ids).bool()
    spans[:, 2:17], queries[:, 18] = True, True
    mass = repo_model.attention_mass(model, ids, {"s": spans}, queries)["s"]
    with torch.no_grad():
        weights = torch.stack(model(ids, output_attentions=True).attentions)  # [L, B, H, N, N]
    assert torch.allclose(mass, weights[..., 18, 2:17].mean((1, 3)), atol=1e-6)


@pytest.mark.parametrize("kind", ["default", "linear", "llama3", "yarn"])
def test_what_checks_call_extendable_is(kind: str, tmp_path: Path) -> None:
    rope = {"linear": LINEAR, "llama3": LLAMA3, "default": {"rope_type": "default"}}.get(kind)
    rope = rope or {"rope_type": "yarn", "factor": 2.0, "original_max_position_embeddings": 32}
    config = repo_model.RepoLlamaConfig(**BASE, rope_parameters={"rope_theta": 1e4, **rope})
    model = repo_model.RepoLlamaForCausalLM(config)
    assert kind in ROPE_TYPES
    if kind in EXTENDABLE:
        repo_model.extend(model, 2)
        return
    with pytest.raises(ValueError, match="already extended by 2"):
        repo_model.extend(model, 2)
