"""Adam's moments of an OLMo-native checkpoint under this project's names."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from stages.base.native_moments import add_moments
from stages.common.errors import UserError
from stages.training.moments import FILE, updates_of, with_moments
from stages.training.named_state import weights_of
from tests.stages.training.small import model


def native_names(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weights of the small model under OLMo's names, fused as OLMo has them."""
    found = {
        "transformer.wte.weight": weights["model.embed_tokens.weight"],
        "transformer.ln_f.weight": weights["model.norm.weight"],
        "transformer.ff_out.weight": weights["lm_head.weight"],
    }
    for layer in range(2):
        mine, theirs = f"model.layers.{layer}.", f"transformer.blocks.{layer}."
        attention = [weights[f"{mine}self_attn.{letter}_proj.weight"] for letter in "qkv"]
        found[f"{theirs}att_proj.weight"] = torch.cat(attention)
        up_gate = [weights[f"{mine}mlp.{word}_proj.weight"] for word in ("up", "gate")]
        found[f"{theirs}ff_proj.weight"] = torch.cat(up_gate)
        for name, place in (
            ("attn_out", "self_attn.o_proj"),
            ("q_norm", "self_attn.q_norm"),
            ("k_norm", "self_attn.k_norm"),
            ("ff_out", "mlp.down_proj"),
            ("attn_norm", "post_attention_layernorm"),
            ("ff_norm", "post_feedforward_layernorm"),
        ):
            found[f"{theirs}{name}.weight"] = weights[f"{mine}{place}.weight"]
    return found


def test_moments_follow_the_weights_names(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    net = model()
    draw = {name: torch.rand_like(p) for name, p in net.named_parameters()}
    state = {
        name: {"exp_avg": value, "exp_avg_sq": 2 * value, "step": torch.tensor(1907359.0)}
        for name, value in native_names(draw).items()
    }
    torch.save({"state": state, "param_groups": []}, tmp_path / "optim.pt")
    add_moments(tmp_path, net, tmp_path)
    assert (
        "Adam's moments of 25 of 28 parameters after 1,907,359 updates" in capsys.readouterr().out
    )
    found = with_moments(weights_of(net), tmp_path / FILE)
    assert updates_of(tmp_path / FILE) == 1907359
    fresh = [name for name in draw if not found[f"{name}|exp_avg"].any()]
    assert {name.rsplit(".", 2)[1] for name in fresh} == {"gate_map", "content_map", "final_map"}
    for name in set(draw) - set(fresh):
        assert torch.equal(found[f"{name}|exp_avg"], draw[name]), name
        assert torch.equal(found[f"{name}|exp_avg_sq"], 2 * draw[name]), name


def test_other_states_are_refused(tmp_path: Path) -> None:
    net = model()
    with pytest.raises(UserError, match=r"base\.moments is true, but .*optim\.pt' is no file"):
        add_moments(tmp_path, net, tmp_path)
    torch.save({"state": {0: {"step": 1}}}, tmp_path / "optim.pt")
    with pytest.raises(UserError, match="no optimizer state by parameter name"):
        add_moments(tmp_path, net, tmp_path)
    torch.save({"state": {"transformer.wte.weight": {"step": 1}}}, tmp_path / "optim.pt")
    with pytest.raises(UserError, match="not Adam's state of an OLMo model"):
        add_moments(tmp_path, net, tmp_path)
    wrong = {"exp_avg": torch.ones(3), "exp_avg_sq": torch.ones(3), "step": 1.0}
    torch.save({"state": {"transformer.ln_f.weight": wrong}}, tmp_path / "optim.pt")
    with pytest.raises(UserError, match="does not fit the model"):
        add_moments(tmp_path, net, tmp_path)
