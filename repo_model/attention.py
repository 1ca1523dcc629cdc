"""One attention for every family: stock projections, learned (or no) positions, stock kernels.

Shapes: B batch, T tokens of this call, C width, H query heads, K key/value heads, D head size,
P = C // 8 inner width of the position maps, F = D // 2 rotary pairs.

The rotated keys go into the cache: a token's position depends on its own hidden state only, so
decoding recomputes nothing, and any order of chunks gives the same keys (PAPER.md section 1).
"""

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from transformers import Cache
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
from transformers.utils.generic import maybe_autocast

from .family_facts import facts_of
from .frequencies import Fp32Frequencies, rotary_frequencies
from .rope_settings import SLIDING, WHOLE
from .rotary import rotate


class WideProduct(torch.autograd.Function):
    """`x_NC @ w_PC.T` of half-precision matrices, given in fp32 without a rounding between: CUDA's
    matrix units sum in fp32 anyway. torch has the operator (2.8 on) and no gradient for it."""

    @staticmethod
    def forward(ctx: Any, x_NC: torch.Tensor, w_PC: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        """The product in fp32."""
        ctx.save_for_backward(x_NC, w_PC)
        return torch.mm(x_NC, w_PC.t(), out_dtype=torch.float32)

    @staticmethod
    def backward(ctx: Any, grad_NP: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:  # type: ignore[override]
        """As `F.linear`'s, in the inputs' dtype."""
        x_NC, w_PC = ctx.saved_tensors
        half_NP = grad_NP.to(x_NC.dtype)
        return half_NP @ w_PC, half_NP.t() @ x_NC


def _has_wide_product(x: torch.Tensor) -> bool:
    half = x.dtype in (torch.bfloat16, torch.float16)
    return half and x.is_cuda and torch.version.hip is None and hasattr(torch.ops.aten.mm, "dtype")


class PositionMap(nn.Module):
    """A bias-free linear of the position maps: products of its input's dtype, given in fp32.

    Called as a module, never by its weight, so that ZeRO-3, FSDP and adapters see the call. No
    subclass of `nn.Linear`: engines and quantisers replace those by their own, and positions that
    went through one in bf16 are wrong. PEFT trains it whole, by name (`modules_to_save`).
    """

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__()
        self.in_features, self.out_features = in_features, out_features
        self.weight = nn.Parameter(torch.empty(out_features, in_features))
        self.register_parameter("bias", None)  # for tools that ask a linear for one
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """As `nn.Linear` does; a model's own initialisation follows."""
        nn.init.kaiming_uniform_(self.weight, a=math.sqrt(5))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`x @ weight.T`: computed in x's dtype, returned in fp32 (fp64 stays)."""
        weight = self.weight.to(x.dtype)
        if _has_wide_product(x):
            y_NP = WideProduct.apply(x.reshape(-1, x.shape[-1]), weight)
            return y_NP.view(*x.shape[:-1], self.out_features)
        y = F.linear(x, weight)
        return y.to(torch.promote_types(x.dtype, torch.float32))

    def extra_repr(self) -> str:
        """Sizes, for `print(model)`."""
        return f"in_features={self.in_features}, out_features={self.out_features}"


class PositionTap(nn.Identity):
    """Passes z_BTK through: the place where positions are recorded or overridden by hooks."""


class LearnedRotary(Fp32Frequencies):
    """Rotates q and k by learned positions; made from the configuration alone, as engines do."""

    layer_type = WHOLE
    inv_freq: torch.Tensor

    def __init__(self, config: Any) -> None:
        super().__init__()
        inv_freq_F, self.magnitude = rotary_frequencies(config, "repo", self.layer_type)
        self.register_buffer("inv_freq", inv_freq_F, persistent=False)

    def forward(
        self, q_BTHD: torch.Tensor, k_BTKD: torch.Tensor, z_BTK: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Rotated q and k, in their dtypes; what stands behind the rotary part is passed through."""
        part = 2 * self.inv_freq.shape[0]
        if part == q_BTHD.shape[-1]:
            return rotate(q_BTHD, k_BTKD, z_BTK, self.inv_freq, self.magnitude)
        q, k = rotate(q_BTHD[..., :part], k_BTKD[..., :part], z_BTK, self.inv_freq, self.magnitude)
        rest = (q_BTHD[..., part:], k_BTKD[..., part:])
        return torch.cat((q, rest[0]), dim=-1), torch.cat((k, rest[1]), dim=-1)


class SlidingLearnedRotary(LearnedRotary):
    """The same with the frequencies of layers that have a window."""

    layer_type = SLIDING


def learned_rotary(config: Any, layer_idx: int) -> LearnedRotary:
    """The rotary module of a `repo` layer."""
    types = getattr(config, "layer_types", None)
    sliding = types is not None and types[layer_idx] == SLIDING
    return SlidingLearnedRotary(config) if sliding else LearnedRotary(config)


class RepoAttentionMixin(nn.Module):
    """Replaces integer positions by learned ones, or by none; put it before a stock attention.

    `family_facts.py` says how the stock class projects and norms; it takes part in transformers'
    attention interface. The hidden states it gets are what the maps read: raw in OLMo-2, normed in
    Llama.
    With fewer key/value heads than heads (undefined officially), each key/value head has one
    position that its query group shares: an extension of this project.
    """

    config: Any
    layer_idx: Any
    eager: Callable[..., Any]
    head_dim: int
    scaling: float
    attention_dropout: Any
    q_proj: Any
    k_proj: Any
    v_proj: Any
    qkv_proj: Any
    o_proj: Any
    q_norm: Any
    k_norm: Any
    attn_logit_softcapping: Any

    def __init__(self, config: Any, layer_idx: int) -> None:
        super().__init__(config, layer_idx)  # type: ignore[call-arg]
        self.facts = facts_of(config)
        self.position_type: str = config.positions[layer_idx]
        if self.position_type == "repo":
            width, inner = config.hidden_size, config.hidden_size // 8
            self.gate_map = PositionMap(width, inner)
            self.content_map = PositionMap(width, inner)
            self.final_map = PositionMap(inner, config.num_key_value_heads)
            self.positions = PositionTap()
            self.rotary = learned_rotary(config, layer_idx)

    def learned_positions(self, hidden_BTC: torch.Tensor) -> torch.Tensor:
        """`z = final_map(silu(gate_map(h)) * content_map(h))` as z_BTK, fp32 whatever the dtype.

        On CPU all three maps run in fp32. Elsewhere gate and content are half-precision matrix
        products (in fp32 they would cost 6 % of a step on an H200: calculated), on CUDA with an fp32
        result; the rest is fp32. fp64 stays fp64.
        """
        device = hidden_BTC.device.type
        exact = torch.promote_types(hidden_BTC.dtype, torch.float32)
        if device == "cpu":
            h_BTC = hidden_BTC.to(exact)
        elif device != "meta" and torch.is_autocast_enabled(device):
            h_BTC = hidden_BTC.to(torch.get_autocast_dtype(device))
        else:
            h_BTC = hidden_BTC
        with maybe_autocast(device, enabled=False):
            z_BTK = self.final_map(F.silu(self.gate_map(h_BTC)) * self.content_map(h_BTC))
        return self.positions(z_BTK)

    def project(self, hidden_BTC: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """q_BTHD, k_BTKD, v_BTKD; q and k normed as the family does it."""
        shape = (*hidden_BTC.shape[:-1], -1, self.head_dim)
        if self.facts.projections == "fused":
            kv_rows = self.config.num_key_value_heads * self.head_dim
            q_rows = self.config.num_attention_heads * self.head_dim
            q, k, v = self.qkv_proj(hidden_BTC).split([q_rows, kv_rows, kv_rows], dim=-1)
        else:
            q, k, v = self.q_proj(hidden_BTC), self.k_proj(hidden_BTC), self.v_proj(hidden_BTC)
        if self.facts.qk_norm == "width":
            q, k = self.q_norm(q), self.k_norm(k)
        if self.facts.clip and (limit := self.config.clip_qkv) is not None:
            q, k, v = (x.clamp(-limit, limit) for x in (q, k, v))
        q_BTHD, k_BTKD, v_BTKD = q.view(shape), k.view(shape), v.view(shape)
        if self.facts.qk_norm == "head":
            q_BTHD, k_BTKD = self.q_norm(q_BTHD), self.k_norm(k_BTKD)
        return q_BTHD, k_BTKD, v_BTKD

    def interface_options(self) -> dict[str, Any]:
        """What the stock class tells the attention kernel of windows and soft caps."""
        options: dict[str, Any] = {}
        holder = self.config if self.facts.window == "model" else self
        if (window := getattr(holder, "sliding_window", None)) is not None:
            options["sliding_window"] = window
        if self.facts.softcap:
            options["softcap"] = self.attn_logit_softcapping
        return options

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
            if (here := k_BTKD.shape[2]) != (heads := z_BTK.shape[2]):
                raise ValueError(
                    f"layer {self.layer_idx} learns positions for {heads} key/value heads and has "
                    f"{here} of them here: learned positions do not run tensor parallel; use one "
                    "device for a layer (data or pipeline parallel, device_map)"
                )
            q_BTHD, k_BTKD = self.rotary(q_BTHD, k_BTKD, z_BTK)
        q_BHTD, k_BKTD, v_BKTD = (x.transpose(1, 2) for x in (q_BTHD, k_BTKD, v_BTKD))
        if past_key_values is not None:
            k_BKTD, v_BKTD = past_key_values.update(k_BKTD, v_BKTD, self.layer_idx)
        attention_interface: Callable[..., Any] = ALL_ATTENTION_FUNCTIONS.get_interface(
            self.config._attn_implementation, self.eager
        )
        out_BTHD, weights = attention_interface(
            self,
            q_BHTD,
            k_BKTD,
            v_BKTD,
            attention_mask,
            dropout=self.attention_dropout if self.training else 0.0,
            scaling=self.scaling,
            **self.interface_options(),
            **kwargs,
        )
        out_BTC = out_BTHD.reshape(*hidden_states.shape[:-1], -1).contiguous()
        return self.o_proj(out_BTC), weights
