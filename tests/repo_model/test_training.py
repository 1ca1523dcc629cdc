"""Gradients: checkpointing, precision, and that the maps learn."""

from typing import Any

import pytest
import torch

import repo_model
from tests.repo_model.conftest import CLASSES


def gradients(model: Any, ids_BN: torch.Tensor) -> dict[str, torch.Tensor]:
    model.zero_grad()
    model(ids_BN, labels=ids_BN, use_cache=False).loss.backward()
    return {name: p.grad.clone() for name, p in model.named_parameters()}


@pytest.mark.parametrize("family", CLASSES)
@pytest.mark.parametrize("reentrant", [False, True])
def test_checkpointing_gives_the_same_gradients(make, ids, family: str, reentrant: bool) -> None:
    model = make(family, positions=["nope", "rope", "repo"]).train()
    plain = gradients(model, ids)
    model.gradient_checkpointing_enable({"use_reentrant": reentrant})
    for name, grad in gradients(model, ids).items():
        assert torch.equal(grad, plain[name]), name
    assert plain["model.layers.2.self_attn.gate_map.weight"].abs().max() > 0


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("how", ["to", "autocast"])
def test_positions_stay_fp32(make, ids, dtype: torch.dtype, how: str) -> None:
    """z is the fp32 product of the half-precision inputs, and inv_freq is not rounded."""
    model = make()
    inv_freq_F = model.model.layers[1].self_attn.rotary.inv_freq.clone()
    if how == "to":
        model = model.to(dtype)
    seen: dict[str, torch.Tensor] = {}
    attention = model.model.layers[1].self_attn
    attention.register_forward_pre_hook(
        lambda m, a, k: seen.update(h=k["hidden_states"]), with_kwargs=True
    )
    enabled = how == "autocast"
    with (
        torch.no_grad(),
        repo_model.record_positions(model) as recorder,
        torch.autocast("cpu", dtype, enabled=enabled),
    ):
        model(ids)
    h, maps = (
        seen["h"].double(),
        [w.double() for n, w in attention.state_dict().items() if "_map" in n],
    )
    z = (torch.nn.functional.silu(h @ maps[0].T) * (h @ maps[1].T)) @ maps[2].T
    assert recorder[1].dtype == torch.float32
    assert (recorder[1] - z.transpose(1, 2)).abs().max() < 1e-5 * z.abs().max()
    for buffer in (attention.rotary.inv_freq, model.model.rotary_emb.inv_freq):
        assert buffer.dtype == torch.float32
        assert torch.equal(buffer, inv_freq_F)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_runs_close_to_fp32(make, ids, dtype: torch.dtype) -> None:
    model = make()
    with torch.no_grad():
        exact = model(ids).logits
        half = model.to(dtype)(ids).logits.float()
    assert (half - exact).abs().max() < 0.05 * exact.abs().max()
