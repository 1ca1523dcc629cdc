"""The rotary frequencies of a layer, and keeping them in fp32.

F = head_dim // 2 pairs. `model.to(torch.bfloat16)` (what DeepSpeed's bf16 mode does) also casts
buffers, and a bf16 frequency is off by up to 0.4 %: 16 radians at position 4096. Stock models live
with that; here it would also make RoPE baselines and RePo differ in more than their positions.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS


def rotary_frequencies(config: Any, position_type: str = "rope") -> tuple[torch.Tensor, float]:
    """Frequencies and magnitude of one layer.

    Args:
        config: a RePo configuration.
        position_type: `rope` or `repo`; they differ only under YaRN with `yarn_layers="rope"`.

    Returns:
        inv_freq_F in radians per position (fp32), and the factor on cos and sin (1.0 without YaRN).
    """
    rope_type = config.rope_parameters["rope_type"]
    if position_type == "repo" and rope_type == "yarn" and config.yarn_layers == "rope":
        rope_type = "default"
    if rope_type != "default":
        if rope_type not in ("linear", "yarn", "llama3"):
            raise ValueError(f"rope_type={rope_type!r} is not supported on {position_type} layers")
        inv_freq_F, magnitude = ROPE_INIT_FUNCTIONS[rope_type](config)
        return inv_freq_F, float(magnitude)
    dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    exponent_F = torch.arange(0, dim, 2, dtype=torch.float32) / dim
    return 1.0 / (config.rope_parameters["rope_theta"] ** exponent_F), 1.0


class Fp32Frequencies(nn.Module):
    """Mixin: `inv_freq` (and `original_inv_freq`) move with the module but stay fp32."""

    def _apply(self, fn: Callable[[torch.Tensor], torch.Tensor], recurse: bool = True) -> nn.Module:
        exact = {
            name: self._buffers[name]
            for name in ("inv_freq", "original_inv_freq")
            if name in self._buffers
        }
        super()._apply(fn, recurse)
        for name, before in exact.items():
            after = self._buffers[name]
            if before is not None and after is not None and after.dtype != before.dtype:
                self._buffers[name] = before.to(device=after.device)
        return self
