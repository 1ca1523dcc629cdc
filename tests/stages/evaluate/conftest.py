"""Small random models."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import repo_model
from tests.stages.evaluate.asked import tiny_llama

VOCABULARY = 300
TRAINED = 64


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of a model with a window of ``asked.WINDOW``."""
    return tiny_llama(tmp_path_factory.mktemp("llama"))


@pytest.fixture(scope="session")
def make_model() -> Callable[..., Any]:
    """A random model whose outputs depend on positions and do not repeat at once."""

    def make(positions: Any = "rope", seed: int = 0, vocabulary: int = VOCABULARY) -> Any:
        shape = {"start_layer": 1} if positions == "repo" else {}
        config = repo_model.RepoOlmo2Config(
            positions=positions,
            **shape,
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=2,
            vocab_size=vocabulary,
            max_position_embeddings=TRAINED,
            rope_parameters={"rope_type": "default", "rope_theta": 1e4},
            initializer_range=0.4,
            eos_token_id=0,
            pad_token_id=1,
        )
        torch.manual_seed(seed)
        return repo_model.RepoOlmo2ForCausalLM(config).eval()

    return make
