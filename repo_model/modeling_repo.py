"""The model families: stock transformers models whose attention has learned positions.

Layers of type `rope` keep the stock attention untouched, so `positions="rope"` is the stock model
to the bit. The classes are spelt out because `auto_map` cannot name classes made at run time.
"""

from typing import Any

import torch
from torch import nn
from transformers import (
    LlamaForCausalLM,
    LlamaModel,
    Olmo2ForCausalLM,
    Olmo2Model,
    PreTrainedModel,
    Qwen3ForCausalLM,
    Qwen3Model,
)
from transformers import initialization as init
from transformers.models.llama.modeling_llama import LlamaAttention, LlamaRotaryEmbedding
from transformers.models.olmo2.modeling_olmo2 import Olmo2Attention, Olmo2RotaryEmbedding
from transformers.models.qwen3.modeling_qwen3 import Qwen3Attention, Qwen3RotaryEmbedding

from .attention import LearnedRotary, PositionMap, RepoAttentionMixin
from .configuration_repo import RepoLlamaConfig, RepoOlmo2Config, RepoQwen3Config
from .frequencies import Fp32Frequencies, rotary_frequencies

MAP_INIT_STD = 0.02  # cut at 3 std; not `initializer_range`, which may differ (PAPER.md section 1)


class RepoInitMixin:
    """Initialises what RePo adds; stock modules as the stock class does."""

    config: Any

    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, PositionMap):
            cut = 3 * MAP_INIT_STD
            init.trunc_normal_(module.weight, mean=0.0, std=MAP_INIT_STD, a=-cut, b=cut)
            return
        super()._init_weights(module)  # type: ignore[misc]
        if isinstance(module, LearnedRotary):
            init.copy_(module.inv_freq, rotary_frequencies(self.config, "repo")[0])


class RepoModelMixin(RepoInitMixin):
    """A stock base model with the attention of every `nope` and `repo` layer replaced."""

    attention_class: Any
    rotary_class: Any
    layers: Any
    config: Any
    post_init: Any

    def __init__(self, config: Any) -> None:
        super().__init__(config)  # type: ignore[call-arg]
        self.rotary_emb = self.rotary_class(config)
        for layer_idx, position_type in enumerate(config.positions):
            if position_type != "rope":
                self.layers[layer_idx].self_attn = self.attention_class(config, layer_idx)
        self.post_init()

    def reset_frequencies(self) -> None:
        """Recompute every layer's frequencies from `self.config` (after an extension)."""
        device = self.rotary_emb.inv_freq.device
        self.rotary_emb = self.rotary_class(self.config).to(device)
        for layer in self.layers:
            if hasattr(layer.self_attn, "rotary"):
                layer.self_attn.rotary = LearnedRotary(self.config).to(device)

    def forward(self, *args: Any, past_key_values: Any = None, **kwargs: Any) -> Any:
        """The stock forward; refuses a cache filled under another extension."""
        stock = super().forward  # type: ignore[misc]
        if torch.compiler.is_compiling():
            return stock(*args, past_key_values=past_key_values, **kwargs)
        rotation = {**self.config.rope_parameters, "yarn_layers": self.config.yarn_layers}
        if getattr(past_key_values, "rotation", rotation) != rotation:
            raise ValueError(
                "past_key_values holds keys rotated under another YaRN factor; rotated keys cannot "
                "be re-based, so start the sequence again with an empty cache"
            )
        out = stock(*args, past_key_values=past_key_values, **kwargs)
        if (cache := getattr(out, "past_key_values", None)) is not None:
            cache.rotation = rotation
        return out


class RepoCausalLMMixin(RepoInitMixin):
    """A stock language model head on a RePo base model."""

    base_class: Any
    post_init: Any
    _auto_class: str | None = "AutoModelForCausalLM"

    def __init__(self, config: Any) -> None:
        # The stock __init__ names the stock base model; its other lines are these.
        PreTrainedModel.__init__(self, config)  # type: ignore[arg-type]
        self.model = self.base_class(config)
        self.vocab_size = config.vocab_size
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.post_init()


class RepoOlmo2Attention(RepoAttentionMixin, Olmo2Attention):
    """OLMo-2 attention; the maps read the raw residual stream, which is its input."""


class RepoOlmo2RotaryEmbedding(Fp32Frequencies, Olmo2RotaryEmbedding):
    """Integer positions for the `rope` layers."""


class RepoOlmo2Model(RepoModelMixin, Olmo2Model):
    """OLMo-2 base model with learned positions."""

    config_class = RepoOlmo2Config
    attention_class = RepoOlmo2Attention
    rotary_class = RepoOlmo2RotaryEmbedding


class RepoOlmo2ForCausalLM(RepoCausalLMMixin, Olmo2ForCausalLM):
    """OLMo-2 language model with learned positions."""

    config_class = RepoOlmo2Config
    base_class = RepoOlmo2Model


class RepoLlamaAttention(RepoAttentionMixin, LlamaAttention):  # type: ignore[misc]
    """Llama attention; the maps read the normed input."""


class RepoLlamaRotaryEmbedding(Fp32Frequencies, LlamaRotaryEmbedding):
    """Integer positions for the `rope` layers."""


class RepoLlamaModel(RepoModelMixin, LlamaModel):
    """Llama base model with learned positions."""

    config_class = RepoLlamaConfig
    attention_class = RepoLlamaAttention
    rotary_class = RepoLlamaRotaryEmbedding


class RepoLlamaForCausalLM(RepoCausalLMMixin, LlamaForCausalLM):
    """Llama language model with learned positions."""

    config_class = RepoLlamaConfig
    base_class = RepoLlamaModel


class RepoQwen3Attention(RepoAttentionMixin, Qwen3Attention):
    """Qwen3 attention (norm per head); the maps read the normed input."""


class RepoQwen3RotaryEmbedding(Fp32Frequencies, Qwen3RotaryEmbedding):
    """Integer positions for the `rope` layers."""


class RepoQwen3Model(RepoModelMixin, Qwen3Model):
    """Qwen3 base model with learned positions."""

    config_class = RepoQwen3Config
    attention_class = RepoQwen3Attention
    rotary_class = RepoQwen3RotaryEmbedding


class RepoQwen3ForCausalLM(RepoCausalLMMixin, Qwen3ForCausalLM):
    """Qwen3 language model with learned positions."""

    config_class = RepoQwen3Config
    base_class = RepoQwen3Model
