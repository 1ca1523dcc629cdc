"""Configurations: a stock configuration plus the position type of every layer.

Added keys: `positions` (one of rope, nope, repo per layer) and `yarn_layers` (which layers a YaRN
extension touches). In memory `rope_parameters` is the stock one. On disk its `rope_type` is
replaced by a name no stock model knows, so that a loader that ignores `model_type` (a stock class's
`from_pretrained`, another engine's native OLMo-2) stops instead of silently running plain RoPE.
"""

from typing import Any, ClassVar

from transformers import (
    Gemma2Config,
    Gemma3TextConfig,
    GraniteConfig,
    LlamaConfig,
    MistralConfig,
    Olmo2Config,
    Olmo3Config,
    OlmoeConfig,
    Phi3Config,
    PreTrainedConfig,
    Qwen2Config,
    Qwen3Config,
    Qwen3MoeConfig,
    SmolLM3Config,
)

from .family_facts import facts_of
from .position_types import layer_types
from .rope_settings import each, extendable

REFUSED_BY_STOCK = "repo_needs_trust_remote_code"
YARN_LAYERS = ("all", "rope")


def _restored(rope: dict[str, Any]) -> dict[str, Any]:
    rope = dict(rope)
    if rope.get("rope_type") == REFUSED_BY_STOCK:
        rope["rope_type"] = rope.pop("stock_rope_type")
    return rope


def _refused(rope: dict[str, Any]) -> dict[str, Any]:
    return {**rope, "rope_type": REFUSED_BY_STOCK, "stock_rope_type": rope["rope_type"]}


class RepoConfigMixin:
    """Adds learned positions to a stock configuration; put it before the stock class.

    Keys (beside the stock ones):
        positions: a preset (`rope`, `nope`, `r2n1`, `n2r1`, `repo`) or one type per layer. Always
            the resolved list afterwards. Default `repo`.
        start_layer, layers: only with the preset `repo`; they end in the list and are not kept.
        yarn_layers: `all` (as the official code: RoPE and RePo layers) or `rope` (as the paper
            words it); NoPE layers never. Only read where `rope_parameters` says YaRN.

    Raises:
        ValueError: one line, for anything PAPER.md section 1 cannot be built from.
    """

    _auto_class: str | None = "AutoConfig"
    ignore_keys_at_rope_validation: ClassVar = {"base_scaling"}
    model_type: str
    rope_parameters: Any
    num_hidden_layers: int
    hidden_size: int
    num_attention_heads: int
    num_key_value_heads: Any

    def __post_init__(self, **kwargs: Any) -> None:
        positions = kwargs.pop("positions", "repo")
        start_layer, layers = kwargs.pop("start_layer", None), kwargs.pop("layers", None)
        yarn_layers = kwargs.pop("yarn_layers", "all")
        if self.rope_parameters:
            self.rope_parameters = each(self.rope_parameters, _restored)
        super().__post_init__(**kwargs)  # type: ignore[misc]
        self.positions = layer_types(positions, self.num_hidden_layers, start_layer, layers)
        if yarn_layers not in YARN_LAYERS:
            raise ValueError(
                f"yarn_layers={yarn_layers!r} is unknown; choose one of {', '.join(YARN_LAYERS)}"
            )
        self.yarn_layers = yarn_layers
        self._check_heads()

    def _check_heads(self) -> None:
        width, heads, kv_heads = (
            self.hidden_size,
            self.num_attention_heads,
            self.num_key_value_heads,
        )
        head_dim = getattr(self, "head_dim", None)
        if heads < 1 or kv_heads < 1 or heads % kv_heads:
            raise ValueError(
                f"num_attention_heads={heads} does not divide by num_key_value_heads={kv_heads}"
            )
        if head_dim is None and width % heads:
            raise ValueError(f"hidden_size={width} does not divide by num_attention_heads={heads}")
        if (head_dim or width // heads) % 2:
            raise ValueError(
                f"the head size {head_dim or width // heads} is odd; a rotation needs pairs"
            )
        if width < 8:
            raise ValueError(
                f"hidden_size={width} is below 8; the position maps are hidden_size // 8 wide"
            )
        factor = extendable(self).get("partial_rotary_factor", 1.0)
        factor = 1.0 if factor is None and not facts_of(self).partial else factor
        size = head_dim or width // heads
        if factor != 1.0 and not facts_of(self).partial:
            raise ValueError(
                f"partial_rotary_factor={factor:g}: {self.model_type.removeprefix('repo_')} "
                "rotates whole heads; remove it"
            )
        if int(size * factor) % 2 or int(size * factor) < 2:
            raise ValueError(
                f"partial_rotary_factor={factor:g} of a head of {size} is no even number of elements"
            )
        if getattr(self, "use_bidirectional_attention", False):
            raise ValueError("use_bidirectional_attention=True: RePo is for causal language models")

    def validate_rope(self, *args: Any, **kwargs: Any) -> None:
        """What transformers asks of any; a family's own list (Phi-3: longrope) knows no extension."""
        PreTrainedConfig.validate_rope(self, *args, **kwargs)

    def to_dict(self) -> dict[str, Any]:
        """The configuration as config.json has it, with `auto_map` and the refused rope_type."""
        output = super().to_dict()  # type: ignore[misc]
        output["rope_parameters"] = each(output["rope_parameters"], _refused)
        family = type(self).__name__.removesuffix("Config")
        output["auto_map"] = {
            "AutoConfig": f"configuration_repo.{family}Config",
            "AutoModel": f"modeling_repo.{family}Model",
            "AutoModelForCausalLM": f"modeling_repo.{family}ForCausalLM",
        }
        output.pop("_name_or_path", None)
        return output


class RepoOlmo2Config(RepoConfigMixin, Olmo2Config):
    """OLMo-2: every key of `Olmo2Config`, and those of `RepoConfigMixin`."""

    model_type = "repo_olmo2"


class RepoOlmo3Config(RepoConfigMixin, Olmo3Config):
    """OLMo-3: every key of `Olmo3Config`, and those of `RepoConfigMixin`."""

    model_type = "repo_olmo3"


class RepoLlamaConfig(RepoConfigMixin, LlamaConfig):
    """Llama: every key of `LlamaConfig`, and those of `RepoConfigMixin`."""

    model_type = "repo_llama"


class RepoMistralConfig(RepoConfigMixin, MistralConfig):
    """Mistral: every key of `MistralConfig`, and those of `RepoConfigMixin`."""

    model_type = "repo_mistral"


class RepoQwen2Config(RepoConfigMixin, Qwen2Config):
    """Qwen2 and Qwen2.5: every key of `Qwen2Config`, and those of `RepoConfigMixin`."""

    model_type = "repo_qwen2"


class RepoQwen3Config(RepoConfigMixin, Qwen3Config):
    """Qwen3: every key of `Qwen3Config`, and those of `RepoConfigMixin`."""

    model_type = "repo_qwen3"


class RepoSmolLM3Config(RepoConfigMixin, SmolLM3Config):
    """SmolLM3: every key of `SmolLM3Config`, and those of `RepoConfigMixin`."""

    model_type = "repo_smollm3"


class RepoGraniteConfig(RepoConfigMixin, GraniteConfig):
    """Granite: every key of `GraniteConfig`, and those of `RepoConfigMixin`."""

    model_type = "repo_granite"

    @property
    def logit_scale(self) -> float:
        """What vLLM multiplies logits by; it reads no `logits_scaling`."""
        return 1.0 / self.logits_scaling


class RepoPhi3Config(RepoConfigMixin, Phi3Config):
    """Phi-3 and Phi-4: every key of `Phi3Config`, and those of `RepoConfigMixin`."""

    model_type = "repo_phi3"

    def convert_rope_params_to_dict(self, *args: Any, **kwargs: Any) -> Any:
        """As stock, which takes every `yarn` for `longrope`; an extension means YaRN."""
        wanted = (self.rope_parameters or {}).get("rope_type")
        kwargs = super().convert_rope_params_to_dict(*args, **kwargs)
        if wanted == "yarn" and "long_factor" not in self.rope_parameters:
            self.rope_parameters["rope_type"] = wanted
        return kwargs

    def validate(self) -> None:
        """Without Phi-3's own rule, which knows no YaRN."""
        for validator in type(self).__class_validators__:
            if validator is not Phi3Config.validate_rope:
                validator(self)
        PreTrainedConfig.validate_rope(self)


class RepoGemma2Config(RepoConfigMixin, Gemma2Config):
    """Gemma 2: every key of `Gemma2Config`, and those of `RepoConfigMixin`."""

    model_type = "repo_gemma2"


class RepoGemma3TextConfig(RepoConfigMixin, Gemma3TextConfig):
    """Gemma 3 (text): every key of `Gemma3TextConfig`, and those of `RepoConfigMixin`."""

    model_type = "repo_gemma3_text"


class RepoOlmoeConfig(RepoConfigMixin, OlmoeConfig):
    """OLMoE: every key of `OlmoeConfig`, and those of `RepoConfigMixin`."""

    model_type = "repo_olmoe"


class RepoQwen3MoeConfig(RepoConfigMixin, Qwen3MoeConfig):
    """Qwen3 mixtures: every key of `Qwen3MoeConfig`, and those of `RepoConfigMixin`."""

    model_type = "repo_qwen3_moe"
