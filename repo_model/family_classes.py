"""What the classes of every family do: a stock model with the attention of some layers replaced.

Layers of type `rope` keep the stock attention untouched, so `positions="rope"` is the stock model to
the bit: its windows, and its layers without rotation (SmolLM3), stay. A layer of type `repo` keeps
its window and learns positions, whether or not the stock layer rotates; one of type `nope` keeps
its window and rotates nothing.
"""

import functools
import sys
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel
from transformers import initialization as init
from transformers.conversion_mapping import (
    get_checkpoint_conversion_mapping,
    register_checkpoint_conversion_mapping,
)

from .attention import LearnedRotary, PositionMap, RepoAttentionMixin, learned_rotary
from .family_facts import facts_of
from .frequencies import Fp32Frequencies, rotary_frequencies
from .recording import with_positions

MAP_INIT_STD = 0.02  # cut at 3 std; not `initializer_range`, which may differ (PAPER.md section 1)


def _stock(cls: type) -> Any:
    """The stock class that a class of ours is made from."""
    return next(c for c in cls.__mro__ if c.__module__.startswith("transformers.models."))


def _beside(cls: type, mixin: type, stock: type, part: str, **members: Any) -> type:
    """`mixin` before the `part` (`Attention`, ...) that stands beside a stock model.

    The class gets a name in `cls`'s module, so that models can be pickled.
    """
    stem = stock.__name__.removesuffix("Model").removesuffix("Text")
    stock_part = getattr(sys.modules[stock.__module__], stem + part)
    name = cls.__name__.removesuffix("Model") + part
    made = type(name, (mixin, stock_part), {"__module__": cls.__module__, **members})
    setattr(sys.modules[cls.__module__], name, made)
    return made


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
            init.copy_(
                module.inv_freq, rotary_frequencies(self.config, "repo", module.layer_type)[0]
            )
        elif isinstance(module, IntegerRotary):
            module.correct()

    # transformers reads the source of a class's file to see what can be chosen; the stock file says.
    @classmethod
    def _can_set_attn_implementation(cls) -> bool:
        return bool(_stock(cls)._can_set_attn_implementation())

    @classmethod
    def _can_set_experts_implementation(cls) -> bool:
        return bool(_stock(cls)._can_set_experts_implementation())


class IntegerRotary(Fp32Frequencies):
    """Integer positions of the `rope` layers; put it before a stock rotary embedding."""

    config: Any

    def __init__(self, config: Any) -> None:
        super().__init__(config)  # type: ignore[call-arg]
        self.correct()

    def correct(self) -> None:
        """Put in the frequencies of an extension that the stock class cannot compute."""
        rope = self.config.rope_parameters
        if "base_scaling" in rope:  # families with one set of frequencies
            inv_freq_F, self.attention_scaling = rotary_frequencies(self.config)
            init.copy_(self.inv_freq, inv_freq_F)
            init.copy_(self.original_inv_freq, inv_freq_F)
        elif "base_scaling" in (rope.get("full_attention") or {}):
            inv_freq_F, self.full_attention_attention_scaling = rotary_frequencies(self.config)
            init.copy_(self.full_attention_inv_freq, inv_freq_F)
            init.copy_(self.full_attention_original_inv_freq, inv_freq_F)


class RepoModelMixin(RepoInitMixin):
    """A stock base model with the attention of every `nope` and `repo` layer replaced."""

    config_class: Any
    attention_class: Any
    rotary_class: Any
    layers: Any
    post_init: Any

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        stock: Any = _stock(cls)
        eager = staticmethod(sys.modules[stock.__module__].eager_attention_forward)
        cls.attention_class = _beside(cls, RepoAttentionMixin, stock, "Attention", eager=eager)
        cls.rotary_class = _beside(cls, IntegerRotary, stock, "RotaryEmbedding")
        cls.forward = _forward(stock.forward)  # type: ignore[attr-defined]
        own: str = cls.config_class.model_type
        if mapping := get_checkpoint_conversion_mapping(own.removeprefix("repo_")):
            # Mixtures are stored expert by expert and run with all experts in one tensor.
            register_checkpoint_conversion_mapping(own, mapping, overwrite=True)

    def __init__(self, config: Any) -> None:
        super().__init__(config)  # type: ignore[call-arg]
        self.rotary_emb = self.rotary_class(config)
        layers, positions = config.num_hidden_layers, config.positions
        if len(positions) < layers:
            raise ValueError(f"positions has {len(positions)} entries, num_hidden_layers={layers}")
        for layer_idx, position_type in enumerate(positions[:layers]):
            if position_type != "rope":
                self.layers[layer_idx].self_attn = self.attention_class(config, layer_idx)
        self.post_init()

    def reset_frequencies(self) -> None:
        """Recompute every layer's frequencies from `self.config` (after an extension)."""
        device = next(self.rotary_emb.buffers()).device
        self.rotary_emb = self.rotary_class(self.config).to(device)
        for i, layer in enumerate(self.layers):
            if hasattr(layer.self_attn, "rotary"):
                layer.self_attn.rotary = learned_rotary(self.config, i).to(device)


def _forward(stock: Any) -> Any:
    """The stock forward of a base model, with its signature; beside it:

    `output_positions=True` adds `positions` to the output, and a cache that was filled under
    another extension is refused.
    """

    @functools.wraps(stock)
    def forward(self: Any, *args: Any, **kwargs: Any) -> Any:
        if kwargs.pop("output_positions", False):
            return with_positions(self, forward, *args, **kwargs)
        if torch.compiler.is_compiling():
            return stock(self, *args, **kwargs)
        past = kwargs.get("past_key_values")
        rotation = {"rope": self.config.rope_parameters, "yarn_layers": self.config.yarn_layers}
        if getattr(past, "rotation", rotation) != rotation:
            raise ValueError(
                "past_key_values holds keys rotated under another YaRN factor; rotated keys cannot "
                "be re-based, so start the sequence again with an empty cache"
            )
        out = stock(self, *args, **kwargs)
        if (cache := getattr(out, "past_key_values", None)) is not None:
            cache.rotation = rotation
        return out

    return forward


class RepoCausalLMMixin(RepoInitMixin):
    """A stock language model head on a RePo base model."""

    base_class: Any
    post_init: Any
    _auto_class: str | None = "AutoModelForCausalLM"

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.forward = _causal_forward(_stock(cls).forward)  # type: ignore[attr-defined]

    def __init__(self, config: Any) -> None:
        # The stock __init__ names the stock base model; its other lines are these.
        PreTrainedModel.__init__(self, config)  # type: ignore[arg-type]
        self.model = self.base_class(config)
        self.vocab_size = config.vocab_size
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        for name in facts_of(config).head_attributes:
            setattr(self, name, getattr(config, name))
        self.post_init()


def _causal_forward(stock: Any) -> Any:
    """The stock forward of a language model, with its signature and `output_positions`."""

    @functools.wraps(stock)
    def forward(self: Any, *args: Any, **kwargs: Any) -> Any:
        if kwargs.pop("output_positions", False):
            return with_positions(self, forward, *args, **kwargs)
        return stock(self, *args, **kwargs)

    return forward
