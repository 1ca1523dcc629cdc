"""Fixtures: tiny models of every family, and an independent fp64 reference of RePo OLMo-2."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F

import repo_model

torch.set_num_threads(1)

SIZES: dict[str, Any] = {
    "vocab_size": 96,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "max_position_embeddings": 64,
    "rms_norm_eps": 1e-6,
    "pad_token_id": 1,
    "eos_token_id": 0,
    "bos_token_id": None,
}
CLASSES = {
    "olmo2": (repo_model.RepoOlmo2Config, repo_model.RepoOlmo2ForCausalLM),
    "llama": (repo_model.RepoLlamaConfig, repo_model.RepoLlamaForCausalLM),
    "qwen3": (repo_model.RepoQwen3Config, repo_model.RepoQwen3ForCausalLM),
}


def build(family: str = "olmo2", seed: int = 0, wide: bool = True, **overrides: Any) -> Any:
    """A tiny random model; `wide` scales the position maps so that z spans several units."""
    config_class, model_class = CLASSES[family]
    overrides.setdefault("positions", ["rope", "repo", "repo"])
    overrides.setdefault("num_key_value_heads", overrides.get("num_attention_heads", 4))
    if family == "qwen3":
        overrides.setdefault("head_dim", 8)
    config = config_class(**{**SIZES, **overrides})
    torch.manual_seed(seed)
    model = model_class(config).eval()
    if wide:
        for name, weight in model.named_parameters():
            if "_map." in name:
                weight.data.mul_(40)
    return model


@pytest.fixture
def make() -> Callable[..., Any]:
    """`make(family="olmo2", seed=0, **config)` builds a tiny model."""
    return build


@pytest.fixture
def ids() -> torch.Tensor:
    """Token ids [2, 20]."""
    return torch.randint(2, 96, (2, 20), generator=torch.Generator().manual_seed(1))


@pytest.fixture
def golden() -> Path:
    """The official tiny checkpoint; REPO_SHARED or ../shared beside the checkout."""
    shared = Path(os.environ.get("REPO_SHARED", Path(__file__).parents[2].parent / "shared"))
    if not (shared / "golden" / "model.safetensors").is_file():
        pytest.skip("shared/golden is absent; set REPO_SHARED")
    return shared / "golden"


def reference_logits(
    weights: dict[str, torch.Tensor], config: dict[str, Any], ids_BN: torch.Tensor
) -> torch.Tensor:
    """RePo OLMo-2 from PAPER.md section 1 in fp64, sharing no code with the package.

    config: heads, theta, eps, positions, and optionally inv_freq and magnitude (YaRN).
    """
    w = {name: value.double() for name, value in weights.items()}
    heads, eps = config["heads"], config["eps"]

    def norm(x: torch.Tensor, name: str) -> torch.Tensor:
        return w[name] * x * (x.pow(2).mean(-1, keepdim=True) + eps).rsqrt()

    x = w["model.embed_tokens.weight"][ids_BN]
    B, N, C = x.shape
    D = C // heads
    inv_freq = config.get(
        "inv_freq", config["theta"] ** (-torch.arange(0, D, 2).double() / D)
    ).double()
    magnitude = config.get("magnitude", 1.0)
    causal = torch.ones(N, N, dtype=torch.bool).tril()
    for i, kind in enumerate(config["positions"]):
        p = f"model.layers.{i}."
        a = p + "self_attn."
        q = norm(x @ w[a + "q_proj.weight"].T, a + "q_norm.weight").view(B, N, heads, D)
        k = norm(x @ w[a + "k_proj.weight"].T, a + "k_norm.weight").view(B, N, heads, D)
        v = (x @ w[a + "v_proj.weight"].T).view(B, N, heads, D)
        if kind != "nope":
            z = torch.arange(N).double()[None, :, None].expand(B, N, heads)
            if kind == "repo":
                gate = F.silu(x @ w[a + "gate_map.weight"].T)
                z = (gate * (x @ w[a + "content_map.weight"].T)) @ w[a + "final_map.weight"].T
            turn = torch.polar(
                torch.full((), magnitude, dtype=torch.float64), z[..., None] * inv_freq
            )
            q, k = (
                torch.view_as_real(torch.complex(y[..., : D // 2], y[..., D // 2 :]) * turn)
                .transpose(-1, -2)
                .flatten(-2)
                for y in (q, k)
            )
        score = torch.einsum("bqhd,bkhd->bhqk", q, k) / D**0.5
        weight = score.masked_fill(~causal, float("-inf")).softmax(-1)
        out = torch.einsum("bhqk,bkhd->bqhd", weight, v).reshape(B, N, C) @ w[a + "o_proj.weight"].T
        x = x + norm(out, p + "post_attention_layernorm.weight")
        m = p + "mlp."
        up = F.silu(x @ w[m + "gate_proj.weight"].T) * (x @ w[m + "up_proj.weight"].T)
        x = x + norm(up @ w[m + "down_proj.weight"].T, p + "post_feedforward_layernorm.weight")
    return norm(x, "model.norm.weight") @ w["lm_head.weight"].T


@pytest.fixture
def reference() -> Callable[[Any, torch.Tensor], torch.Tensor]:
    """`reference(model, ids)`: fp64 logits of an MHA OLMo-2 RePo model, computed independently."""

    def run(model: Any, ids_BN: torch.Tensor, **yarn: Any) -> torch.Tensor:
        c = model.config
        config = {
            "heads": c.num_attention_heads,
            "theta": c.rope_parameters["rope_theta"],
            "eps": c.rms_norm_eps,
            "positions": c.positions,
            **yarn,
        }
        return reference_logits(model.state_dict(), config, ids_BN)

    return run
