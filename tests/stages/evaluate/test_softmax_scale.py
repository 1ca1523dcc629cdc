"""A factor on the attention logits at test time: the same as queries that are so much longer."""

from pathlib import Path

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

import repo_model
from stages.common.errors import UserError
from stages.evaluate.loading import load_any, scale_softmax


def model() -> torch.nn.Module:
    torch.manual_seed(3)
    config = repo_model.RepoLlamaConfig(
        vocab_size=48,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=64,
        positions=["rope", "nope"],
    )
    return repo_model.RepoLlamaForCausalLM(config).eval()


@torch.no_grad()
def test_the_scale_multiplies_the_attention_logits() -> None:
    ids_1T = torch.arange(24)[None] % 48
    plain, scaled, longer = model(), model(), model()
    scale_softmax(plain, 1.0)
    scale_softmax(scaled, 1.5)
    for layer in longer.model.layers:  # type: ignore[union-attr]
        layer.self_attn.q_proj.weight *= 1.5
    expected = longer(ids_1T).logits
    torch.testing.assert_close(scaled(ids_1T).logits, expected, atol=1e-5, rtol=1e-5)
    assert torch.equal(plain(ids_1T).logits, model()(ids_1T).logits)
    assert (plain(ids_1T).logits - expected).abs().max() > 1e-4


def test_a_model_that_does_not_tell_its_factor_is_refused() -> None:
    with pytest.raises(UserError, match=r"softmax_scale is 1\.5, but Linear has no `scaling`"):
        scale_softmax(torch.nn.Linear(2, 2), 1.5)


@pytest.mark.parametrize(
    ("rope", "factor"),
    [
        ({"rope_type": "default"}, 0.5),
    ],
)
def test_what_cannot_be_extended_is_one_line(
    rope: dict[str, object], factor: float, tmp_path: Path
) -> None:
    config = LlamaConfig(
        vocab_size=48, hidden_size=32, intermediate_size=48, num_hidden_layers=1,
        num_attention_heads=4, max_position_embeddings=64,
        rope_parameters={"rope_theta": 10000.0, **rope},
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(tmp_path)
    with pytest.raises(UserError, match="MODEL") as caught:
        load_any(tmp_path, "MODEL", factor, torch.float32)
    assert "\n" not in str(caught.value)
    assert load_any(tmp_path, "MODEL", None, torch.float32).config.model_type == "llama"
