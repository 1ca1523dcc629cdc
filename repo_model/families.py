"""The supported families, by the `model_type` of the stock configuration."""

from typing import Any, NamedTuple

from transformers import AutoConfig, AutoModel, AutoModelForCausalLM

from .configuration_repo import RepoLlamaConfig, RepoOlmo2Config, RepoQwen3Config
from .modeling_repo import (
    RepoLlamaForCausalLM,
    RepoLlamaModel,
    RepoOlmo2ForCausalLM,
    RepoOlmo2Model,
    RepoQwen3ForCausalLM,
    RepoQwen3Model,
)


class Family(NamedTuple):
    """The three classes of one family."""

    config: Any
    base: Any
    causal_lm: Any


FAMILIES = {
    "olmo2": Family(RepoOlmo2Config, RepoOlmo2Model, RepoOlmo2ForCausalLM),
    "llama": Family(RepoLlamaConfig, RepoLlamaModel, RepoLlamaForCausalLM),
    "qwen3": Family(RepoQwen3Config, RepoQwen3Model, RepoQwen3ForCausalLM),
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
