"""Shape of a decoder-only model: parameters and FLOPs by arithmetic, without torch or network.

Counting as in PERFORMANCE.md: 2 FLOPs per multiply-add, the backward pass twice the forward, causal
attention at half of full; norms, rotation and softmax are left out (below 1 %).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

QK_WIDTH, QK_HEAD, NO_QK = "width", "head", "none"
FAMILIES = {
    "olmo2": (2, QK_WIDTH), "olmo3": (2, QK_WIDTH), "llama": (2, NO_QK), "mistral": (2, NO_QK),
    "qwen2": (2, NO_QK), "qwen3": (2, QK_HEAD), "smollm3": (2, NO_QK), "granite": (2, NO_QK),
    "phi3": (2, NO_QK), "gemma2": (4, NO_QK), "gemma3_text": (4, QK_HEAD),
    "olmoe": (2, QK_WIDTH), "qwen3_moe": (2, QK_HEAD),
}  # fmt: skip
"""By ``model_type``: norms of the width per layer, and how q and k are normed; ``repo_model`` has the
table of everything else."""
MIXTURES = ("olmoe", "qwen3_moe")
POST_NORM = ("olmo2", "olmo3")
"""Families without norms in front of attention and MLP."""
FORWARD, TRAINING = 2, 6
"""FLOPs per weight and token: of a forward pass, and of a step (forward and backward)."""


@dataclass(frozen=True)
class Shape:
    """What decides a model's size."""

    family: str
    width: int
    inner: int
    layers: int
    heads: int
    kv_heads: int
    head_width: int
    vocabulary: int
    """Rows of the embedding."""
    tied: bool
    window: int
    """Trained length, tokens."""
    biases: int = 0
    """Elements of all biases together."""
    experts: int = 0
    """Experts of a mixture's layer; 0: a plain MLP."""
    experts_used: int = 0
    """Experts that a token goes through."""
    expert_inner: int = 0
    expert_layers: int = 0
    """Layers that are mixtures."""

    @property
    def parameters(self) -> int:
        """Exact count, without learned positions."""
        embeddings = self.vocabulary * self.width * (1 if self.tied else 2)
        return embeddings + self._blocks(self.experts) + self.width

    @property
    def head_parameters(self) -> int:
        """Of the output matrix, whether or not it is the embedding too."""
        return self.vocabulary * self.width

    @property
    def active_parameters(self) -> int:
        """Those a token is multiplied with: all but the input embedding."""
        idle = self._blocks(self.experts) - self._blocks(self.experts_used)
        return self.parameters - idle - (0 if self.tied else self.head_parameters)

    def map_parameters(self, layers: int) -> int:
        """Of the learned positions on ``layers`` layers (PAPER.md section 1); one z per kv head."""
        inner = self.width // 8
        return layers * (2 * self.width * inner + inner * self.kv_heads)

    def attention_flops(self, length: int, factor: int) -> float:
        """Per token, causal, at a sequence length; ``factor``: ``FORWARD`` or ``TRAINING``."""
        return factor * self.layers * self.heads * self.head_width * length

    def flops_per_token(self, length: int, factor: int = TRAINING, map_layers: int = 0) -> float:
        """FLOPs per token with causal attention at ``length``."""
        weights = self.active_parameters + self.map_parameters(map_layers)
        return factor * weights + self.attention_flops(length, factor)

    def activation_bytes(
        self, map_layers: int = 0, bytes_each: int = 2, compiled: bool = True
    ) -> float:
        """Kept for the backward pass, per token and over all layers (``tests/stages/test_memory.py``).

        ``compiled``: what torch's partitioner keeps of a block that is compiled, everything
        pointwise being computed again: per layer four tensors of the width (input, output of
        attention, sum, output of the MLP), q and k before their norm and after rotation, v and the
        attention's output, three of the MLP. Not compiled, autograd keeps what each operator asks
        for: a norm its input and the normed value, both in fp32 where it is the model's last
        product, and four of the MLP.
        """
        queries, keys = self.heads * self.head_width, self.kv_heads * self.head_width
        outer, kind = FAMILIES[self.family]
        wide = 4 / bytes_each  # an fp32 value, in values of the model's own type
        maps = 3 * (self.width // 8) + wide * self.kv_heads  # gate, content, product; z in fp32
        if compiled:
            normed = 0 if kind == NO_QK else 1
            layer = 4 * self.width + (2 + normed) * (queries + keys) + 3 * self._inner_used
            return bytes_each * (self.layers * layer + map_layers * maps)
        norm = {QK_WIDTH: 2 * wide, QK_HEAD: wide + 1, NO_QK: 0}[kind]
        # OLMo's norms are behind attention and MLP and multiply in fp32; others' in front of them.
        outside = 4 * wide + 2 if self.family in POST_NORM else outer * (wide + 1) + 2
        layer = outside * self.width + (2 + norm) * (queries + keys) + 4 * self._inner_used
        maps += wide * (self.width // 2 + keys) - 3 * (self.width // 8)  # all in fp32; cos, sin
        return bytes_each * (self.layers * layer + map_layers * maps)

    @property
    def _inner_used(self) -> float:
        """Inner width of the MLP that a token goes through, mean over the layers."""
        mixed = self.expert_layers * self.experts_used * self.expert_inner
        return ((self.layers - self.expert_layers) * self.inner + mixed) / self.layers

    @property
    def cache_bytes(self) -> int:
        """Of keys and values, per token, bf16."""
        return 2 * 2 * self.layers * self.kv_heads * self.head_width

    def _blocks(self, experts: int) -> int:
        """Parameters of all layers with this many experts in each mixture."""
        attention = 2 * self.width * self.head_width * (self.heads + self.kv_heads)
        plain = (self.layers - self.expert_layers) * 3 * self.width * self.inner
        router = self.width * self.experts
        mixture = self.expert_layers * (router + experts * 3 * self.width * self.expert_inner)
        return self.layers * (attention + self._norms) + plain + mixture + self.biases

    @property
    def _norms(self) -> int:
        outer, kind = FAMILIES[self.family]
        inside = {
            QK_WIDTH: self.head_width * (self.heads + self.kv_heads),
            QK_HEAD: 2 * self.head_width,
            NO_QK: 0,
        }
        return outer * self.width + inside[kind]


def known(source: str) -> Shape | None:
    """Shape of a hub id of the table that ships, or of a local Hugging Face folder; else none."""
    if source in _table():
        return Shape(**_table()[source])
    config = Path(source) / "config.json"
    return of_config(json.loads(config.read_text(encoding="utf-8"))) if config.is_file() else None


def of_config(config: Mapping[str, Any]) -> Shape | None:
    """Shape by a config.json; none of a family that is not supported."""
    family = str(config.get("model_type", "")).removeprefix("repo_")
    if family not in FAMILIES:
        return None
    heads, width = config["num_attention_heads"], config["hidden_size"]
    kv_heads = config.get("num_key_value_heads", KV_HEADS.get(family)) or heads
    head_width = config.get("head_dim", HEAD_WIDTH.get(family)) or width // heads
    inner = config["intermediate_size"]
    layers = config["num_hidden_layers"]
    queries, keys = heads * head_width, kv_heads * head_width
    attention, mlp = biased(family, config)
    biases = {"all": queries + 2 * keys + width, "qkv": queries + 2 * keys, "none": 0}[attention]
    experts = _experts(config)
    return Shape(
        family=family,
        width=width,
        inner=inner,
        layers=layers,
        heads=heads,
        kv_heads=kv_heads,
        head_width=head_width,
        vocabulary=config["vocab_size"],
        tied=bool(config.get("tie_word_embeddings", family in TIED)),
        window=config["max_position_embeddings"],
        biases=layers * (biases + (2 * inner + width if mlp else 0)),
        experts=experts,
        experts_used=config.get("num_experts_per_tok") or 0 if experts else 0,
        expert_inner=(inner if family == "olmoe" else config["moe_intermediate_size"])
        if experts
        else 0,
        expert_layers=len(mixture_layers(config)),
    )


KV_HEADS = {
    "mistral": 8, "qwen2": 32, "qwen3": 32, "smollm3": 4, "gemma2": 4, "gemma3_text": 4, "qwen3_moe": 4,
}  # fmt: skip
HEAD_WIDTH = {"qwen3": 128, "gemma2": 256, "gemma3_text": 256}
"""What the stock configurations take where a config.json does not say; the others derive it."""
TIED = ("gemma2", "gemma3_text", "smollm3")
"""Families whose configurations tie the embeddings unless they say otherwise."""


def _experts(config: Mapping[str, Any]) -> int:
    """Of a layer; a number of them says nothing to a family without mixtures."""
    if str(config.get("model_type")).removeprefix("repo_") not in MIXTURES:
        return 0
    # Two names of one number; of both, transformers takes the second.
    return config.get("num_local_experts") or config.get("num_experts") or 0


def mixture_layers(config: Mapping[str, Any]) -> list[int]:
    """Layers that are mixtures of experts."""
    experts = _experts(config)
    plain = set(config.get("mlp_only_layers") or ())
    every = config.get("decoder_sparse_step") or 1
    layers = range(config["num_hidden_layers"])
    return [i for i in layers if experts and i not in plain and (i + 1) % every == 0]


def biased(family: str, config: Mapping[str, Any]) -> tuple[str, bool]:
    """Which projections of attention have a bias, and whether those of the MLP have."""
    if family == "qwen2":
        return "qkv", False
    if family in ("mistral", "phi3"):
        return "none", False
    attention = "all" if config.get("attention_bias") else "none"
    mlp = family in ("llama", "smollm3", "granite") and bool(config.get("mlp_bias"))
    return attention, mlp


@cache
def _table() -> dict[str, dict[str, Any]]:
    text = (files("stages.common") / "data" / "shapes.json").read_text(encoding="utf-8")
    table: dict[str, dict[str, Any]] = json.loads(text)
    return table
