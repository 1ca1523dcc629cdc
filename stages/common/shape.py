"""Shape of a decoder-only model: parameters and FLOPs by arithmetic, without torch or network.

Counting as in PERFORMANCE.md: 2 FLOPs per multiply-add, the backward pass twice the forward, causal
attention at half of full; norms, rotation and softmax are left out (below 1 %).
"""

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

FAMILIES = ("olmo2", "llama", "qwen3")
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

    @property
    def parameters(self) -> int:
        """Exact count, without learned positions."""
        embeddings = self.vocabulary * self.width * (1 if self.tied else 2)
        return embeddings + self.layers * (self._matrices + self._norms) + self.width

    @property
    def head_parameters(self) -> int:
        """Of the output matrix, whether or not it is the embedding too."""
        return self.vocabulary * self.width

    @property
    def active_parameters(self) -> int:
        """Those a token is multiplied with: all but the input embedding."""
        return self.parameters - (0 if self.tied else self.head_parameters)

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

    def activation_bytes(self, map_layers: int = 0, bytes_each: int = 2) -> float:
        """Saved for the backward pass, per token and over all layers, with fused kernels.

        Per layer: four tensors of the width (input, output of attention, sum, output of the MLP),
        q, k before and after rotation, v and the attention's output, and three of the MLP. For
        OLMo-2 1B at 4 x 4096 in bf16 that is 1.48 GB a layer, as PERFORMANCE.md has it.
        """
        queries, keys = self.heads * self.head_width, self.kv_heads * self.head_width
        layer = 4 * self.width + 3 * queries + 3 * keys + 3 * self.inner
        maps = 3 * (self.width // 8) + 2 * self.kv_heads  # gate, content, product; z in fp32
        return bytes_each * (self.layers * layer + map_layers * maps)

    @property
    def cache_bytes(self) -> int:
        """Of keys and values, per token, bf16."""
        return 2 * 2 * self.layers * self.kv_heads * self.head_width

    @property
    def _matrices(self) -> int:
        attention = 2 * self.width * self.head_width * (self.heads + self.kv_heads)
        return attention + 3 * self.width * self.inner

    @property
    def _norms(self) -> int:
        outer = 2 * self.width
        if self.family == "olmo2":  # q and k are normed over their whole width
            return outer + self.head_width * (self.heads + self.kv_heads)
        return outer + (2 * self.head_width if self.family == "qwen3" else 0)


def known(source: str) -> Shape | None:
    """Shape of a hub id of the table that ships, or of a local Hugging Face folder; else none."""
    if source in _table():
        return Shape(**_table()[source])
    config = Path(source) / "config.json"
    return _of_config(json.loads(config.read_text(encoding="utf-8"))) if config.is_file() else None


def _of_config(config: dict[str, Any]) -> Shape | None:
    kind = str(config.get("model_type", ""))
    family = next((name for name in FAMILIES if name in kind), None)
    if family is None:
        return None
    heads, width = config["num_attention_heads"], config["hidden_size"]
    return Shape(
        family=family,
        width=width,
        inner=config["intermediate_size"],
        layers=config["num_hidden_layers"],
        heads=heads,
        kv_heads=config.get("num_key_value_heads") or heads,
        head_width=config.get("head_dim") or width // heads,
        vocabulary=config["vocab_size"],
        tied=bool(config.get("tie_word_embeddings", False)),
        window=config["max_position_embeddings"],
    )


@cache
def _table() -> dict[str, dict[str, Any]]:
    text = (files("stages.common") / "data" / "shapes.json").read_text(encoding="utf-8")
    table: dict[str, dict[str, Any]] = json.loads(text)
    return table
