"""The supported families, by the `model_type` of the stock configuration."""

from typing import Any, NamedTuple

from transformers import AutoConfig, AutoModel, AutoModelForCausalLM

from .modeling_repo import (
    RepoGemma2ForCausalLM,
    RepoGemma3TextForCausalLM,
    RepoGraniteForCausalLM,
    RepoLlamaForCausalLM,
    RepoMistralForCausalLM,
    RepoOlmo2ForCausalLM,
    RepoOlmo3ForCausalLM,
    RepoOlmoeForCausalLM,
    RepoPhi3ForCausalLM,
    RepoQwen2ForCausalLM,
    RepoQwen3ForCausalLM,
    RepoQwen3MoeForCausalLM,
    RepoSmolLM3ForCausalLM,
)


class Family(NamedTuple):
    """The three classes of one family."""

    config: Any
    base: Any
    causal_lm: Any


CAUSAL = (
    RepoOlmo2ForCausalLM,
    RepoOlmo3ForCausalLM,
    RepoLlamaForCausalLM,
    RepoMistralForCausalLM,
    RepoQwen2ForCausalLM,
    RepoQwen3ForCausalLM,
    RepoSmolLM3ForCausalLM,
    RepoGraniteForCausalLM,
    RepoPhi3ForCausalLM,
    RepoGemma2ForCausalLM,
    RepoGemma3TextForCausalLM,
    RepoOlmoeForCausalLM,
    RepoQwen3MoeForCausalLM,
)

FAMILIES = {
    str(c.config_class.model_type).removeprefix("repo_"): Family(c.config_class, c.base_class, c)
    for c in CAUSAL
}


def family_of(model_type: str | None) -> Family:
    """The family of a stock (`olmo2`) or own (`repo_olmo2`) model type.

    Raises:
        ValueError: the family is not supported.
    """
    family = FAMILIES.get((model_type or "").removeprefix("repo_"))
    if family is None:
        raise ValueError(
            f"model_type={model_type!r} is not supported; supported: {', '.join(FAMILIES)}"
        )
    return family


def register() -> None:
    """Make AutoConfig, AutoModel and AutoModelForCausalLM know the families of this package."""
    for family in FAMILIES.values():
        AutoConfig.register(family.config.model_type, family.config, exist_ok=True)
        AutoModel.register(family.config, family.base, exist_ok=True)
        AutoModelForCausalLM.register(family.config, family.causal_lm, exist_ok=True)
