"""RePo: language models with learned token positions (arXiv 2512.14391), as Hugging Face models.

    import repo_model                                    # registers with AutoConfig and AutoModel*
    model = repo_model.load(path_or_id)                  # own, official-RePo and plain checkpoints
    model = repo_model.load(base, positions="repo", start_layer=5)
    model = repo_model.extend(model, 4, original=4096)   # zero-shot YaRN

Needs torch, transformers and safetensors only. A saved folder carries the code it needs and loads
in stock transformers with `trust_remote_code=True`.
"""

from .configuration_repo import RepoLlamaConfig, RepoOlmo2Config, RepoQwen3Config
from .diagnostics import attention_mass, position_stats
from .extension import extend
from .families import register
from .loading import load
from .modeling_repo import (
    RepoLlamaForCausalLM,
    RepoLlamaModel,
    RepoOlmo2ForCausalLM,
    RepoOlmo2Model,
    RepoQwen3ForCausalLM,
    RepoQwen3Model,
)
from .packing import document_position_ids
from .position_types import layer_types
from .recording import PositionRecorder, override_positions, record_positions
from .rotary import use_rotary

__all__ = [
    "PositionRecorder",
    "RepoLlamaConfig",
    "RepoLlamaForCausalLM",
    "RepoLlamaModel",
    "RepoOlmo2Config",
    "RepoOlmo2ForCausalLM",
    "RepoOlmo2Model",
    "RepoQwen3Config",
    "RepoQwen3ForCausalLM",
    "RepoQwen3Model",
    "attention_mass",
    "document_position_ids",
    "extend",
    "layer_types",
    "load",
    "override_positions",
    "position_stats",
    "record_positions",
    "use_rotary",
]

register()
