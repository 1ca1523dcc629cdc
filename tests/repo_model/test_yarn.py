"""Zero-shot YaRN: which layers get what, factors at load, and what is refused (PAPER.md 2, 8)."""

import math
from pathlib import Path

import pytest
import torch

import repo_model

MIXED = ["rope", "nope", "repo"]


def test_the_paper_s_ramp_and_magnitude() -> None:
    """head_dim 128, theta 5e5, 4096 tokens: pairs up to 14 keep theirs, from 32 on get 1/4."""
    config = repo_model.RepoOlmo2Config(
        hidden_size=256,
        num_attention_heads=2,
        num_hidden_layers=1,
        intermediate_size=8,
        vocab_size=8,
        max_position_embeddings=4096,
        positions=["repo"],
        rope_parameters={"rope_type": "default", "rope_theta": 5e5},
        pad_token_id=None,
        eos_token_id=None,
    )
    model = repo_model.RepoOlmo2ForCausalLM(config)
    attention = model.model.layers[0].self_attn
    plain_F = attention.rotary.inv_freq.clone()
    repo_model.extend(model, 4)
    ratio_F = attention.rotary.inv_freq / plain_F
    assert torch.allclose(ratio_F[:15], torch.ones(15))
    assert ratio_F[15] < 1
    assert torch.allclose(ratio_F[32:], torch.full((32,), 0.25))
    assert ratio_F[31] > 0.25
    assert attention.rotary.magnitude == pytest.approx(1.1386, abs=1e-4)
    assert model.config.max_position_embeddings == 16384


def test_equals_the_reference(make, ids, reference) -> None:
    model = make(positions=MIXED)
    repo_model.extend(model, 4, original=32)
    attention = model.model.layers[2].self_attn
    assert (
        attention.rotary.magnitude
        == model.model.rotary_emb.attention_scaling
        == 0.1 * math.log(4) + 1
    )
    expected = reference(
        model, ids, inv_freq=attention.rotary.inv_freq, magnitude=attention.rotary.magnitude
    )
    with torch.no_grad():
        assert (model(ids).logits - expected).abs().max() < 1e-5


def test_the_paper_s_wording_leaves_repo_layers_alone(make) -> None:
    model = make(positions=MIXED)
    before_F = model.model.layers[2].self_attn.rotary.inv_freq.clone()
    rope_before_F = model.model.rotary_emb.inv_freq.clone()
    repo_model.extend(model, 4, layers="rope")
    attention = model.model.layers[2].self_attn
    assert torch.equal(attention.rotary.inv_freq, before_F)
    assert attention.rotary.magnitude == 1.0
    assert not torch.equal(model.model.rotary_emb.inv_freq, rope_before_F)


@pytest.mark.parametrize("layers", ["all", "rope"])
def test_a_factor_per_length_at_load(make, ids, layers: str, tmp_path: Path) -> None:
    base, folder = tmp_path / "base", tmp_path / "extended"
    make(positions=MIXED).save_pretrained(base)
    repo_model.extend(base, 4, layers=layers).save_pretrained(folder)
    for factor in (1, 2, 4):
        loaded = repo_model.load(folder, yarn_factor=factor)
        fresh = repo_model.load(base)
        if factor > 1:
            repo_model.extend(fresh, factor, layers=layers)
        assert loaded.config.max_position_embeddings == 64 * factor
        with torch.no_grad():
            assert torch.equal(loaded(ids).logits, fresh(ids).logits)


def test_refusals(make, tmp_path: Path) -> None:
    model = make()
    with pytest.raises(ValueError, match="factor=1 must be above 1"):
        repo_model.extend(model, 1)
    model = make()
    with pytest.raises(ValueError, match="layers='repo' is unknown"):
        repo_model.extend(model, 2, layers="repo")
    model.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="needs an extended checkpoint"):
        repo_model.load(tmp_path, yarn_factor=2)
    repo_model.extend(model, 2)
    with pytest.raises(ValueError, match="already extended by 2"):
        repo_model.extend(model, 2)
    model.save_pretrained(tmp_path / "twice")
    with pytest.raises(ValueError, match="already extended by 2"):
        repo_model.extend_folder(tmp_path / "twice", tmp_path / "no", 2)
    with pytest.raises(ValueError, match=r"nowhere: no config\.json"):
        repo_model.extend_folder(tmp_path / "nowhere", tmp_path / "no", 2)
    assert not (tmp_path / "no").exists()


def test_a_change_in_mid_sequence_is_refused(make, ids) -> None:
    model = make()
    with torch.no_grad():
        cache = model(ids, use_cache=True).past_key_values
        repo_model.extend(model, 2)
        with pytest.raises(ValueError, match="another YaRN factor"):
            model(ids[:, :1], past_key_values=cache)
        model(ids, use_cache=True)


def test_an_extension_starts_from_the_trained_length_that_is_recorded(tmp_path: Path) -> None:
    """A base with a wide window that was trained on less; the record survives saving and loading."""
    config = repo_model.RepoOlmo2Config(
        hidden_size=32,
        num_attention_heads=2,
        num_hidden_layers=1,
        intermediate_size=8,
        vocab_size=8,
        max_position_embeddings=4096,
        positions=["rope"],
        pad_token_id=None,
        eos_token_id=None,
    )
    config.repo_training = {"format": 1, "trained_length": 256, "window": 4096}
    repo_model.RepoOlmo2ForCausalLM(config).save_pretrained(tmp_path / "trained")
    model = repo_model.extend(tmp_path / "trained", 4)
    assert model.config.rope_parameters["original_max_position_embeddings"] == 256
    assert model.config.max_position_embeddings == 1024
    model.save_pretrained(tmp_path / "extended")
    plain = repo_model.load(tmp_path / "extended", yarn_factor=1)
    assert plain.config.max_position_embeddings == 4096
    assert plain.config.repo_training["trained_length"] == 256
