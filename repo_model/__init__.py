"""RePo: language models with learned token positions (arXiv 2512.14391), as Hugging Face models.

    import repo_model                                    # registers with AutoConfig and AutoModel*
    model = repo_model.load(path_or_id)                  # own, official-RePo and plain checkpoints
    model = repo_model.load(base, positions="repo", start_layer=5)
    model = repo_model.extend(model, 4, original=4096)   # zero-shot YaRN

Needs torch, transformers and safetensors only. A saved folder carries the code it needs and loads
in stock transformers with `trust_remote_code=True`.
"""

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
from .diagnostics import attention_mass, position_stats
from .extension import check_extendable, extend, extend_folder, rescale_folder
from .families import register
from .loading import load
from .modeling_repo import (
    RepoGemma2ForCausalLM,
    RepoGemma2Model,
    RepoGemma3TextForCausalLM,
    RepoGemma3TextModel,
    RepoGraniteForCausalLM,
    RepoGraniteModel,
    RepoLlamaForCausalLM,
    RepoLlamaModel,
    RepoMistralForCausalLM,
    RepoMistralModel,
    RepoOlmo2ForCausalLM,
    RepoOlmo2Model,
    RepoOlmo3ForCausalLM,
    RepoOlmo3Model,
    RepoOlmoeForCausalLM,
    RepoOlmoeModel,
    RepoPhi3ForCausalLM,
    RepoPhi3Model,
    RepoQwen2ForCausalLM,
    RepoQwen2Model,
    RepoQwen3ForCausalLM,
    RepoQwen3Model,
    RepoQwen3MoeForCausalLM,
    RepoQwen3MoeModel,
    RepoSmolLM3ForCausalLM,
    RepoSmolLM3Model,
)
from .packing import document_position_ids
from .position_types import layer_types
from .recording import PositionRecorder, override_positions, record_positions
from .rotary import use_rotary

__all__ = [
    "PositionRecorder",
    "RepoGemma2Config",
    "RepoGemma2ForCausalLM",
    "RepoGemma2Model",
    "RepoGemma3TextConfig",
    "RepoGemma3TextForCausalLM",
    "RepoGemma3TextModel",
    "RepoGraniteConfig",
    "RepoGraniteForCausalLM",
    "RepoGraniteModel",
    "RepoLlamaConfig",
    "RepoLlamaForCausalLM",
    "RepoLlamaModel",
    "RepoMistralConfig",
    "RepoMistralForCausalLM",
    "RepoMistralModel",
    "RepoOlmo2Config",
    "RepoOlmo2ForCausalLM",
    "RepoOlmo2Model",
    "RepoOlmo3Config",
    "RepoOlmo3ForCausalLM",
    "RepoOlmo3Model",
    "RepoOlmoeConfig",
    "RepoOlmoeForCausalLM",
    "RepoOlmoeModel",
    "RepoPhi3Config",
    "RepoPhi3ForCausalLM",
    "RepoPhi3Model",
    "RepoQwen2Config",
    "RepoQwen2ForCausalLM",
    "RepoQwen2Model",
    "RepoQwen3Config",
    "RepoQwen3ForCausalLM",
    "RepoQwen3Model",
    "RepoQwen3MoeConfig",
    "RepoQwen3MoeForCausalLM",
    "RepoQwen3MoeModel",
    "RepoSmolLM3Config",
    "RepoSmolLM3ForCausalLM",
    "RepoSmolLM3Model",
    "attention_mass",
    "check_extendable",
    "document_position_ids",
    "extend",
    "extend_folder",
    "layer_types",
    "load",
    "override_positions",
    "position_stats",
    "record_positions",
    "rescale_folder",
    "use_rotary",
]

register()
