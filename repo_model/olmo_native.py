"""Reading an unsharded OLMo training checkpoint (PAPER.md section 6) as RePo OLMo-2.

Sizes come from the weights; heads, theta, epsilon, length and token ids from the `model` section of
config.yaml. The position type of a layer is `repo` where its maps are present; a NoPE layer leaves
no trace in the weights and has to be named.
"""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors.torch import load_file

from .configuration_repo import RepoOlmo2Config
from .modeling_repo import RepoOlmo2ForCausalLM

BLOCK = re.compile(r"transformer\.blocks\.(\d+)\.(\w+)\.weight")
TOP = {
    "transformer.wte.weight": "model.embed_tokens.weight",
    "transformer.ln_f.weight": "model.norm.weight",
    "transformer.ff_out.weight": "lm_head.weight",
}
PLAIN = {
    "attn_out": "self_attn.o_proj",
    "q_norm": "self_attn.q_norm",
    "k_norm": "self_attn.k_norm",
    "gate_map": "self_attn.gate_map",
    "content_map": "self_attn.content_map",
    "final_map": "self_attn.final_map",
    "ff_out": "mlp.down_proj",
    "attn_norm": "post_attention_layernorm",
    "ff_norm": "post_feedforward_layernorm",
}


def is_native(folder: Path) -> bool:
    """Whether a folder is an unsharded OLMo checkpoint: config.yaml beside the weights."""
    weights = any((folder / name).is_file() for name in ("model.safetensors", "model.pt"))
    return weights and (folder / "config.yaml").is_file() and not (folder / "config.json").is_file()


def load_native(folder: Path, positions: Iterable[str] | str | None = None) -> Any:
    """An OLMo-native checkpoint as a RePo OLMo-2 model, weights bit for bit.

    `model.pt` is read with `weights_only=True`, which runs no code.

    Raises:
        ValueError: a missing key in config.yaml, an unknown or missing weight.
    """
    if (folder / "model.safetensors").is_file():
        native = load_file(folder / "model.safetensors")
    else:
        native = torch.load(folder / "model.pt", map_location="cpu", weights_only=True, mmap=True)
    sizes = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8")).get("model", {})
    weights = convert_weights(native)
    config = native_config(sizes, weights, positions)
    with torch.device("meta"):
        model = RepoOlmo2ForCausalLM(config)
    needed = set(model.state_dict())
    if wrong := sorted(needed ^ set(weights)):
        what = "missing" if wrong[0] in needed else "unexpected"
        raise ValueError(
            f"{folder}: {len(wrong)} weights are missing or unexpected, first {wrong[0]} ({what})"
        )
    model.load_state_dict(weights, assign=True)
    model.base_model.rotary_emb = model.base_model.rotary_class(config)
    model.base_model.reset_frequencies()
    return model.eval()


def convert_weights(native: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """OLMo-native names and fused tensors to Hugging Face ones.

    Raises:
        ValueError: a name that is not part of the format.
    """
    weights: dict[str, torch.Tensor] = {}
    for name, value in native.items():
        if name in TOP:
            weights[TOP[name]] = value
            continue
        found = BLOCK.fullmatch(name)
        if not found:
            raise ValueError(f"unexpected weight {name} in an OLMo checkpoint")
        layer, part = f"model.layers.{found[1]}.", found[2]
        if part == "att_proj":  # rows: q, k, v
            width = value.shape[1]
            kv_width = (value.shape[0] - width) // 2
            parts = value.split([width, kv_width, kv_width])
            for letter, matrix in zip("qkv", parts, strict=True):
                weights[f"{layer}self_attn.{letter}_proj.weight"] = matrix.clone()
        elif part == "ff_proj":  # rows: up, gate
            for word, matrix in zip(("up", "gate"), value.chunk(2), strict=True):
                weights[f"{layer}mlp.{word}_proj.weight"] = matrix.clone()
        elif part in PLAIN:
            weights[f"{layer}{PLAIN[part]}.weight"] = value
        else:
            raise ValueError(f"unexpected weight {name} in an OLMo checkpoint")
    return weights


def native_config(
    sizes: dict[str, Any],
    weights: dict[str, torch.Tensor],
    positions: Iterable[str] | str | None = None,
) -> RepoOlmo2Config:
    """The configuration from config.yaml's `model` section and the converted weights.

    Raises:
        ValueError: a key that the weights cannot tell is missing.
    """
    for key in ("n_heads", "rope_theta", "max_sequence_length"):
        if key not in sizes:
            raise ValueError(f"config.yaml: model.{key} is missing")
    prefix = "model.layers.{}.self_attn.gate_map.weight"
    depth = 1 + max(int(name.split(".")[2]) for name in weights if name.startswith("model.layers."))
    repo = ["repo" if prefix.format(i) in weights else "rope" for i in range(depth)]
    vocab, width = weights["model.embed_tokens.weight"].shape
    k_proj = weights["model.layers.0.self_attn.k_proj.weight"]
    return RepoOlmo2Config(
        vocab_size=vocab,
        hidden_size=width,
        intermediate_size=weights["model.layers.0.mlp.up_proj.weight"].shape[0],
        num_hidden_layers=depth,
        num_attention_heads=sizes["n_heads"],
        num_key_value_heads=k_proj.shape[0] * sizes["n_heads"] // width,
        max_position_embeddings=sizes["max_sequence_length"],
        rope_parameters={"rope_type": "default", "rope_theta": float(sizes["rope_theta"])},
        rms_norm_eps=float(sizes.get("layer_norm_eps") or 1e-6),
        tie_word_embeddings="lm_head.weight" not in weights,
        eos_token_id=sizes.get("eos_token_id"),
        pad_token_id=sizes.get("pad_token_id"),
        bos_token_id=None,
        positions=repo if positions is None else positions,
        dtype=weights["model.embed_tokens.weight"].dtype,
    )
