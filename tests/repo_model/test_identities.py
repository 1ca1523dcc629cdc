"""The identities of PAPER.md section 1, and agreement with an independent fp64 reference."""

import pytest
import torch

import repo_model
from tests.repo_model.conftest import CLASSES


def run(model, ids_BN: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return model(ids_BN).logits


@pytest.mark.parametrize(
    "positions", [["rope", "repo", "repo"], ["nope", "rope", "repo"], ["repo", "nope", "rope"]]
)
@pytest.mark.parametrize("heads", [1, 2, 4])
def test_equals_the_fp64_reference(make, ids, reference, positions: list[str], heads: int) -> None:
    model = make(positions=positions, num_attention_heads=heads, seed=heads)
    expected = reference(model, ids)
    assert (run(model, ids) - expected).abs().max() < 1e-5
    assert (run(model.double(), ids) - expected).abs().max() < 1e-6  # inv_freq stays fp32


@pytest.mark.parametrize("family", CLASSES)
def test_zero_final_map_is_nope(make, ids, family: str) -> None:
    repo, nope = make(family), make(family, positions=["rope", "nope", "nope"])
    for layer in (1, 2):
        repo.model.layers[layer].self_attn.final_map.weight.data.zero_()
    missing = nope.load_state_dict(repo.state_dict(), strict=False).missing_keys
    assert not missing
    torch.testing.assert_close(run(repo, ids), run(nope, ids), rtol=0, atol=1e-6)


@pytest.mark.parametrize("family", CLASSES)
def test_integer_positions_are_rope(make, ids, family: str) -> None:
    repo, rope = make(family), make(family, positions="rope")
    rope.load_state_dict(repo.state_dict(), strict=False)
    index_1T1 = torch.arange(ids.shape[1]).view(1, -1, 1)
    with repo_model.override_positions(repo, {1: index_1T1, 2: index_1T1}):
        torch.testing.assert_close(run(repo, ids), run(rope, ids), rtol=0, atol=1e-5)


def test_only_differences_matter(make, ids) -> None:
    model = make()
    plain = run(model, ids)
    shift_K = torch.tensor([3.0, -7.5, 100.0, 0.25])
    with repo_model.override_positions(
        model, {1: lambda z: z + shift_K, 2: lambda z: z - 2 * shift_K}
    ):
        torch.testing.assert_close(run(model, ids), plain, rtol=0, atol=1e-4)
    with repo_model.override_positions(model, {1: lambda z: -z}):
        assert (run(model, ids) - plain).abs().max() > 1e-3  # but their sign does


@pytest.mark.parametrize("heads", [2, 1])
def test_grouped_heads_share_one_position(make, ids, heads: int) -> None:
    """GQA, this project's extension: equals MHA whose key/value heads and maps are repeated."""
    gqa = make(num_key_value_heads=heads, positions="repo", start_layer=0)
    mha = make(positions="repo", start_layer=0)
    weights = gqa.state_dict()
    group = 4 // heads
    for name, value in weights.items():
        if "k_proj" in name or "v_proj" in name or "k_norm" in name:
            weights[name] = value.unflatten(0, (heads, 8)).repeat_interleave(group, 0).flatten(0, 1)
        elif "final_map" in name:
            weights[name] = value.repeat_interleave(group, 0)
    mha.load_state_dict(weights)
    torch.testing.assert_close(run(gqa, ids), run(mha, ids), rtol=0, atol=1e-5)


def test_map_initialisation(make) -> None:
    model = make(hidden_size=512, num_attention_heads=4, wide=False, initializer_range=0.5)
    for layer in (1, 2):
        attention = model.model.layers[layer].self_attn
        assert attention.gate_map.weight.shape == (64, 512)
        assert attention.final_map.weight.shape == (4, 64)
        for linear in (attention.gate_map, attention.content_map):
            assert linear.bias is None
            assert linear.weight.abs().max() <= 0.06
            assert 0.0190 < linear.weight.std() < 0.0205  # 0.0198: a normal cut at 3 std
    assert not hasattr(model.model.layers[0].self_attn, "gate_map")


def test_the_1b_parameter_count() -> None:
    config = repo_model.RepoOlmo2Config(
        positions="repo",
        start_layer=5,
        hidden_size=2048,
        num_hidden_layers=16,
        num_attention_heads=16,
        intermediate_size=8192,
        vocab_size=100352,
    )
    with torch.device("meta"):
        model = repo_model.RepoOlmo2ForCausalLM(config)
    total = sum(p.numel() for p in model.parameters())
    assert total == 1_484_916_736 + 11_579_392
    assert total - 100352 * 2048 == 1_279_395_840 + 11_579_392
