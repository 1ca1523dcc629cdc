"""One attention for every family: stock projections, learned (or no) positions, stock kernels.

Shapes: B batch, T tokens of this call, C width, H query heads, K key/value heads, D head size,
P = C // 8 inner width of the position maps, F = D // 2 rotary pairs.

The rotated keys go into the cache: a token's position depends on its own hidden state only, so
decoding recomputes nothing, and any order of chunks gives the same keys (PAPER.md section 1).
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from transformers import Cache
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
from transformers.models.llama.modeling_llama import eager_attention_forward

from .frequencies import Fp32Frequencies, rotary_frequencies
from .rotary import rotate


class PositionMap(nn.Linear):
    """A bias-free linear of the position maps, computed in its input's dtype.

    Called as a module, never by its weight, so that ZeRO-3, FSDP and adapters see the call.
    """

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__(in_features, out_features, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`x @ weight.T` in x's dtype."""
        return F.linear(x, self.weight.to(x.dtype))


class PositionTap(nn.Identity):
    """Passes z_BTK through: the place where positions are recorded or overridden by hooks."""


class LearnedRotary(Fp32Frequencies):
    """Rotates q and k by learned positions; made from the configuration alone, as engines do."""

    inv_freq: torch.Tensor

    def __init__(self, config: Any) -> None:
        super().__init__()
        inv_freq_F, self.magnitude = rotary_frequencies(config, "repo")
        self.register_buffer("inv_freq", inv_freq_F, persistent=False)

    def forward(
        self, q_BTHD: torch.Tensor, k_BTKD: torch.Tensor, z_BTK: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Rotated q and k, in their dtypes."""
        return rotate(q_BTHD, k_BTKD, z_BTK, self.inv_freq, self.magnitude)


class RepoAttentionMixin(nn.Module):
    """Replaces integer positions by learned ones, or by none; put it before a stock attention.

    The stock class must have `q_proj, k_proj, v_proj, o_proj`, may have `q_norm, k_norm` over the
    whole width (OLMo-2) or over one head (Qwen3), and takes part in transformers' attention
    interface. The hidden states it gets are what the maps read: raw in OLMo-2, normed in Llama.
    With fewer key/value heads than heads (undefined officially), each key/value head has one
    position that its query group shares: an extension of this project.
    """

    config: Any
    layer_idx: Any
    head_dim: int
    scaling: float
    attention_dropout: Any
    q_proj: Any
    k_proj: Any
    v_proj: Any
    o_proj: Any

    def __init__(self, config: Any, layer_idx: int) -> None:
        super().__init__(config, layer_idx)  # type: ignore[call-arg]
        self.position_type: str = config.positions[layer_idx]
        if self.position_type == "repo":
            width, inner = config.hidden_size, config.hidden_size // 8
            self.gate_map = PositionMap(width, inner)
            self.content_map = PositionMap(width, inner)
            self.final_map = PositionMap(inner, config.num_key_value_heads)
            self.positions = PositionTap()
            self.rotary = LearnedRotary(config)

    def learned_positions(self, hidden_BTC: torch.Tensor) -> torch.Tensor:
        """`z = final_map(silu(gate_map(h)) * content_map(h))` as z_BTK, fp32 whatever the dtype.

        On CPU all three maps run in fp32. Elsewhere gate and content are half-precision matrix
        products (fp32 costs 6 % of a step on an H200), the rest is fp32. fp64 stays fp64.
        """
        device = hidden_BTC.device.type
        exact = torch.promote_types(hidden_BTC.dtype, torch.float32)
        if device == "cpu":
            h_BTC = hidden_BTC.to(exact)
        elif torch.is_autocast_enabled(device):
            h_BTC = hidden_BTC.to(torch.get_autocast_dtype(device))
        else:
            h_BTC = hidden_BTC
        with torch.autocast(device, enabled=False):
            gate_BTP, content_BTP = (
                self.gate_map(h_BTC).to(exact),
                self.content_map(h_BTC).to(exact),
            )
            z_BTK = self.final_map(F.silu(gate_BTP) * content_BTP)
        return self.positions(z_BTK)

    def project(self, hidden_BTC: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """q_BTHD, k_BTKD, v_BTKD; q and k normed as the family does it."""
        shape = (*hidden_BTC.shape[:-1], -1, self.head_dim)
        q, k, v = self.q_proj(hidden_BTC), self.k_proj(hidden_BTC), self.v_proj(hidden_BTC)
        q_norm, k_norm = getattr(self, "q_norm", None), getattr(self, "k_norm", None)
        if q_norm is None or k_norm is None:
            return q.view(shape), k.view(shape), v.view(shape)
        if q_norm.weight.shape[-1] == self.head_dim:
            return q_norm(q.view(shape)), k_norm(k.view(shape)), v.view(shape)
        return q_norm(q).view(shape), k_norm(k).view(shape), v.view(shape)

    def forward(
        self,
        hidden_states: torch.Tensor,
        position_embeddings: Any = None,
        attention_mask: torch.Tensor | None = None,
        past_key_values: Cache | None = None,
        **kwargs: Any,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """The stock signature; `position_embeddings` (integer positions) is not used."""
        q_BTHD, k_BTKD, v_BTKD = self.project(hidden_states)
        if self.position_type == "repo":
            z_BTK = self.learned_positions(hidden_states)
            q_BTHD, k_BTKD = self.rotary(q_BTHD, k_BTKD, z_BTK)
        q_BHTD, k_BKTD, v_BKTD = (x.transpose(1, 2) for x in (q_BTHD, k_BTKD, v_BTKD))
        if past_key_values is not None:
            k_BKTD, v_BKTD = past_key_values.update(k_BKTD, v_BKTD, self.layer_idx)
        if getattr(self, "sliding_window", None) is not None:
            kwargs["sliding_window"] = self.sliding_window
        attention_interface: Callable[..., Any] = ALL_ATTENTION_FUNCTIONS.get_interface(
            self.config._attn_implementation, eager_attention_forward
        )
        out_BTHD, weights = attention_interface(
            self,
            q_BHTD,
            k_BKTD,
            v_BKTD,
            attention_mask,
            dropout=self.attention_dropout if self.training else 0.0,
            scaling=self.scaling,
            **kwargs,
        )
        out_BTC = out_BTHD.reshape(*hidden_states.shape[:-1], -1).contiguous()
        return self.o_proj(out_BTC), weights
