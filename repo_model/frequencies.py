"""The rotary frequencies of a layer, and keeping them in fp32.

F rotary pairs: half the head, or half of the part of it that is rotated. `model.to(torch.bfloat16)`
(what DeepSpeed's bf16 mode does) also casts buffers, and a bf16 frequency is off by up to 0.4 %: 16
radians at position 4096. Stock models live with that; here it would also make RoPE baselines and
RePo differ in more than their positions.
"""

import copy
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

from .family_facts import facts_of
from .rope_settings import WHOLE, nested, of_layer_type

SCALED = ("linear", "yarn", "llama3")
"""Ways of scaling frequencies once and for all; the others change with the length of the input."""


def head_size(config: Any) -> int:
    """Elements of one head."""
    return getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads


def rotary_frequencies(
    config: Any, position_type: str = "rope", layer_type: str = WHOLE
) -> tuple[torch.Tensor, float]:
    """Frequencies and magnitude of one layer.

    Args:
        config: a RePo configuration.
        position_type: `rope` or `repo`; they differ only under YaRN with `yarn_layers="rope"`.
        layer_type: the layer's; matters where layer types rotate differently.

    Returns:
        inv_freq_F in radians per position (fp32), and the factor on cos and sin (1.0 without YaRN).
    """
    rope = of_layer_type(config, layer_type)
    base = rope.get("base_scaling")
    if position_type == "repo" and rope["rope_type"] == "yarn" and config.yarn_layers == "rope":
        rope = base or {**rope, "rope_type": "default"}
    elif base:
        return _yarn_over(_of(config, base, layer_type)[0], rope)
    return _of(config, rope, layer_type)


def _of(config: Any, rope: dict[str, Any], layer_type: str) -> tuple[torch.Tensor, float]:
    """Frequencies and magnitude that parameters of one layer say."""
    rope_type = rope["rope_type"]
    if rope_type not in ("default", *SCALED):
        raise ValueError(f"rope_type={rope_type!r} is not supported; its frequencies change")
    if rope_type != "default":
        shown = copy.copy(config)  # these functions read the parameters off a configuration
        by_type = nested(config.rope_parameters)
        shown.rope_parameters = {layer_type: rope} if by_type else rope
        inv_freq_F, magnitude = ROPE_INIT_FUNCTIONS[rope_type](
            shown, layer_type=layer_type if by_type else None
        )
        return inv_freq_F, float(magnitude)
    factor = rope.get("partial_rotary_factor", 1.0) if facts_of(config).partial else 1.0
    dim = int(head_size(config) * factor)
    exponent_F = torch.arange(0, dim, 2, dtype=torch.float32) / dim
    return 1.0 / (rope["rope_theta"] ** exponent_F), 1.0


def _yarn_over(inv_freq_F: torch.Tensor, rope: dict[str, Any]) -> tuple[torch.Tensor, float]:
    """YaRN on frequencies that a base has already scaled (`llama3`, `linear`).

    The ramp runs over the rotations that these frequencies make in the trained length, linear in
    their logarithm: YaRN's own ramp, which is linear in the index of unscaled frequencies.
    """
    factor, length = rope["factor"], rope["original_max_position_embeddings"]
    turns_F = length * inv_freq_F / (2 * math.pi)
    fast, slow = rope["beta_fast"], rope["beta_slow"]
    keep_F = ((turns_F / slow).log() / math.log(fast / slow)).clamp(0, 1)
    return inv_freq_F * (keep_F + (1 - keep_F) / factor), 0.1 * math.log(factor) + 1.0


class Fp32Frequencies(nn.Module):
    """Mixin: buffers of frequencies (`*inv_freq`) move with the module but stay fp32."""

    def _apply(self, fn: Callable[[torch.Tensor], torch.Tensor], recurse: bool = True) -> nn.Module:
        exact = {name: kept for name, kept in self._buffers.items() if name.endswith("inv_freq")}
        super()._apply(fn, recurse)
        for name, before in exact.items():
            after = self._buffers[name]
            if before is not None and after is not None and after.dtype != before.dtype:
                self._buffers[name] = before.to(device=after.device)
        return self
