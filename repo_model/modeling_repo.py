"""The model families: stock transformers models whose attention has learned positions.

The classes are spelt out because `auto_map` needs names that stand in a file; what differs between
families stands in `family_facts.py`, what they do in `family_classes.py`. A language model names
`GenerationMixin` itself, as transformers asks of each.
"""

from transformers import (
    Gemma2ForCausalLM,
    Gemma2Model,
    Gemma3ForCausalLM,
    Gemma3TextModel,
    GenerationMixin,
    GraniteForCausalLM,
    GraniteModel,
    LlamaForCausalLM,
    LlamaModel,
    MistralForCausalLM,
    MistralModel,
    Olmo2ForCausalLM,
    Olmo2Model,
    Olmo3ForCausalLM,
    Olmo3Model,
    OlmoeForCausalLM,
    OlmoeModel,
    Phi3ForCausalLM,
    Phi3Model,
    Qwen2ForCausalLM,
    Qwen2Model,
    Qwen3ForCausalLM,
    Qwen3Model,
    Qwen3MoeForCausalLM,
    Qwen3MoeModel,
    SmolLM3ForCausalLM,
    SmolLM3Model,
)

from .configuration_repo import (
    RepoGemma2Config,
    RepoGemma3TextConfig,
    RepoGraniteConfig,
    RepoLlamaConfig,
    RepoMistralConfig,
    RepoOlmo2Config,
    RepoOlmo3Config,
    RepoOlmoeConfig,
    RepoPhi3Config,
    RepoQwen2Config,
    RepoQwen3Config,
    RepoQwen3MoeConfig,
    RepoSmolLM3Config,
)
from .family_classes import RepoCausalLMMixin, RepoModelMixin


class RepoOlmo2Model(RepoModelMixin, Olmo2Model):
    """OLMo-2 base model with learned positions."""

    config_class = RepoOlmo2Config


class RepoOlmo2ForCausalLM(RepoCausalLMMixin, Olmo2ForCausalLM, GenerationMixin):
    """OLMo-2 language model with learned positions."""

    config_class = RepoOlmo2Config
    base_class = RepoOlmo2Model


class RepoOlmo3Model(RepoModelMixin, Olmo3Model):
    """OLMo-3 base model with learned positions."""

    config_class = RepoOlmo3Config


class RepoOlmo3ForCausalLM(RepoCausalLMMixin, Olmo3ForCausalLM, GenerationMixin):
    """OLMo-3 language model with learned positions."""

    config_class = RepoOlmo3Config
    base_class = RepoOlmo3Model


class RepoLlamaModel(RepoModelMixin, LlamaModel):
    """Llama base model with learned positions."""

    config_class = RepoLlamaConfig


class RepoLlamaForCausalLM(RepoCausalLMMixin, LlamaForCausalLM, GenerationMixin):
    """Llama language model with learned positions."""

    config_class = RepoLlamaConfig
    base_class = RepoLlamaModel


class RepoMistralModel(RepoModelMixin, MistralModel):
    """Mistral base model with learned positions."""

    config_class = RepoMistralConfig


class RepoMistralForCausalLM(RepoCausalLMMixin, MistralForCausalLM, GenerationMixin):
    """Mistral language model with learned positions."""

    config_class = RepoMistralConfig
    base_class = RepoMistralModel


class RepoQwen2Model(RepoModelMixin, Qwen2Model):
    """Qwen2 and Qwen2.5 base model with learned positions."""

    config_class = RepoQwen2Config


class RepoQwen2ForCausalLM(RepoCausalLMMixin, Qwen2ForCausalLM, GenerationMixin):
    """Qwen2 and Qwen2.5 language model with learned positions."""

    config_class = RepoQwen2Config
    base_class = RepoQwen2Model


class RepoQwen3Model(RepoModelMixin, Qwen3Model):
    """Qwen3 base model with learned positions."""

    config_class = RepoQwen3Config


class RepoQwen3ForCausalLM(RepoCausalLMMixin, Qwen3ForCausalLM, GenerationMixin):
    """Qwen3 language model with learned positions."""

    config_class = RepoQwen3Config
    base_class = RepoQwen3Model


class RepoSmolLM3Model(RepoModelMixin, SmolLM3Model):
    """SmolLM3 base model with learned positions."""

    config_class = RepoSmolLM3Config


class RepoSmolLM3ForCausalLM(RepoCausalLMMixin, SmolLM3ForCausalLM, GenerationMixin):
    """SmolLM3 language model with learned positions."""

    config_class = RepoSmolLM3Config
    base_class = RepoSmolLM3Model


class RepoGraniteModel(RepoModelMixin, GraniteModel):
    """Granite base model with learned positions."""

    config_class = RepoGraniteConfig


class RepoGraniteForCausalLM(RepoCausalLMMixin, GraniteForCausalLM, GenerationMixin):
    """Granite language model with learned positions."""

    config_class = RepoGraniteConfig
    base_class = RepoGraniteModel


class RepoPhi3Model(RepoModelMixin, Phi3Model):
    """Phi-3 and Phi-4 base model with learned positions."""

    config_class = RepoPhi3Config


class RepoPhi3ForCausalLM(RepoCausalLMMixin, Phi3ForCausalLM, GenerationMixin):
    """Phi-3 and Phi-4 language model with learned positions."""

    config_class = RepoPhi3Config
    base_class = RepoPhi3Model


class RepoGemma2Model(RepoModelMixin, Gemma2Model):
    """Gemma 2 base model with learned positions."""

    config_class = RepoGemma2Config


class RepoGemma2ForCausalLM(RepoCausalLMMixin, Gemma2ForCausalLM, GenerationMixin):
    """Gemma 2 language model with learned positions."""

    config_class = RepoGemma2Config
    base_class = RepoGemma2Model


class RepoGemma3TextModel(RepoModelMixin, Gemma3TextModel):
    """Gemma 3 (text) base model with learned positions."""

    config_class = RepoGemma3TextConfig


class RepoGemma3TextForCausalLM(RepoCausalLMMixin, Gemma3ForCausalLM, GenerationMixin):
    """Gemma 3 (text) language model with learned positions."""

    config_class = RepoGemma3TextConfig
    base_class = RepoGemma3TextModel


class RepoOlmoeModel(RepoModelMixin, OlmoeModel):
    """OLMoE base model with learned positions."""

    config_class = RepoOlmoeConfig


class RepoOlmoeForCausalLM(RepoCausalLMMixin, OlmoeForCausalLM, GenerationMixin):
    """OLMoE language model with learned positions."""

    config_class = RepoOlmoeConfig
    base_class = RepoOlmoeModel


class RepoQwen3MoeModel(RepoModelMixin, Qwen3MoeModel):
    """Qwen3 mixtures base model with learned positions."""

    config_class = RepoQwen3MoeConfig


class RepoQwen3MoeForCausalLM(RepoCausalLMMixin, Qwen3MoeForCausalLM, GenerationMixin):
    """Qwen3 mixtures language model with learned positions."""

    config_class = RepoQwen3MoeConfig
    base_class = RepoQwen3MoeModel
