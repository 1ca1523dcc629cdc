"""Pattern shares, collapse and attention mass against direct computation."""

import pytest
import torch

import repo_model
from tests.repo_model.conftest import CLASSES


def test_patterns_and_collapse() -> None:
    N = 64
    index = torch.arange(N).float()
    noise = torch.randn(N, generator=torch.Generator().manual_seed(0)) * 5
    half = torch.where(index < 32, index, torch.full_like(index, 3.0))
    z = torch.stack((index, torch.full((N,), 7.0), noise, half, -index * 0.001))[None]
    stats = repo_model.position_stats(z)
    assert stats["monotone"].tolist() == [1, 0, 0, 0.5, 0]
    assert stats["constant"].tolist() == [0, 1, 0, 0.5, 1]
    assert stats["hybrid"].tolist() == [0, 0, 1, 0, 0]
    assert stats["collapsed"].tolist() == [True, True, False, False, True]
    assert stats["range"][0] == 63
    assert stats["min"][1] == stats["max"][1] == 7
    torch.testing.assert_close(stats["std"][2], noise.std(unbiased=False))
    torch.testing.assert_close(stats["mean"][2], noise.mean())


def test_padding_does_not_count() -> None:
    z = torch.randn(2, 3, 40) * 4
    padded = torch.cat((torch.full((2, 3, 16), 1e6), z), -1)
    mask = torch.arange(56).expand(2, -1) >= 16
    plain, masked = repo_model.position_stats(z), repo_model.position_stats(padded, mask)
    for name, value in plain.items():
        torch.testing.assert_close(masked[name], value, rtol=1e-4, atol=1e-4, msg=name)


@pytest.mark.parametrize("family", CLASSES)
def test_attention_mass_equals_the_full_matrices(make, ids, family: str) -> None:
    model = make(family, positions=["rope", "nope", "repo"], num_key_value_heads=2)
    mask = torch.ones_like(ids)
    mask[1, :3] = 0
    index = torch.arange(20).expand(2, -1)
    spans = {"needle": (index >= 5) & (index < 8), "rest": (index >= 8) & (index < 15)}
    queries = index >= 17
    found = repo_model.attention_mass(model, ids, spans, queries, attention_mask_BN=mask)
    assert model.config._attn_implementation == "sdpa"
    model.set_attn_implementation("eager")
    with torch.no_grad():
        attentions = model(ids, attention_mask=mask, output_attentions=True).attentions
    for name, span in spans.items():
        for layer, weight_BHNN in enumerate(attentions):
            mean_H = weight_BHNN[:, :, 17:, span[0]].mean((0, 2, 3))
            torch.testing.assert_close(found[name][layer], mean_H, rtol=1e-4, atol=1e-6)
    with pytest.raises(ValueError, match="span 'x' is empty"):
        repo_model.attention_mass(model, ids, {"x": index > 99}, queries)


def test_recorded_positions_join_over_generation(make, ids) -> None:
    model = make()
    options = {"max_new_tokens": 5, "do_sample": False, "eos_token_id": None, "pad_token_id": 1}
    with repo_model.record_positions(model) as recorder:
        out = model.generate(ids, **options)
        stepwise = {i: recorder[i].clone() for i in recorder.layers}
        recorder.clear()
        with torch.no_grad():
            model(out[:, :-1])
        for layer, z_BKN in stepwise.items():
            assert z_BKN.shape == (2, 4, 24)
            assert z_BKN.dtype == torch.float32
            torch.testing.assert_close(recorder[layer], z_BKN, rtol=1e-4, atol=1e-5)
    model(ids)
    assert recorder[1].shape[-1] == 24  # recording ended with the block
    with pytest.raises(
        KeyError, match=r"layer 0 has no learned positions; layers with them: \[1, 2\]"
    ):
        recorder[0]
    override = repo_model.override_positions(model, {0: torch.zeros(1)})
    with pytest.raises(ValueError, match="layer 0 has no learned positions"), override:
        pass
