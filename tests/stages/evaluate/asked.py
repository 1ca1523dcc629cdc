"""``repo-pipeline evaluate`` as a user calls it, and a tiny model for it."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from stages.evaluate import any_model, score_file
from tests.stages.bytes_tokenizer import save_tokenizer

WINDOW = 1000
SHAPE = {"vocab_size": 300, "eos_token_id": 0, "pad_token_id": 1, "bos_token_id": None}


def save(folder: Path, model: Any) -> Path:
    """A model folder with the tokenizer of bytes."""
    model.save_pretrained(folder)
    save_tokenizer(folder)
    return folder


def tiny_llama(folder: Path) -> Path:
    """Two layers, a window of ``WINDOW``."""
    torch.manual_seed(0)
    config = LlamaConfig(
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=WINDOW,
        initializer_range=0.4,
        **SHAPE,
    )
    return save(folder, LlamaForCausalLM(config))


def call(capsys: Any, *arguments: Any, command: Any = any_model.main) -> tuple[int, str]:
    """Exit code, and what was shown."""
    with pytest.raises(SystemExit) as end:
        command([str(argument) for argument in arguments])
    shown = capsys.readouterr()
    return end.value.code, shown.out + shown.err


def scored(capsys: Any, *arguments: Any) -> tuple[int, str]:
    """``repo-pipeline score``."""
    return call(capsys, *arguments, command=score_file.main)
