"""``python -m stages.train --dry-run``: what a training run would take, without touching anything."""

import argparse
import functools
import sys
from collections.abc import Sequence

import torch
from torch import nn

import repo_model
from stages.base.params import Architecture
from stages.common import paths
from stages.common.entry import PARAMS_FILE
from stages.common.errors import DONE, USER_MISTAKE, UserError
from stages.common.files import read_json
from stages.params import Params, load
from stages.train.stage import start
from stages.training.dry import rehearse


def main(arguments: Sequence[str]) -> int:
    """Rehearse one variant and say how it went; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m stages.train --dry-run")
    parser.add_argument("--dry-run", action="store_true", required=True)
    parser.add_argument(
        "--variant", help="one of the params' variants; the last of the params' by default"
    )
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    try:
        params = load(PARAMS_FILE)
        variant = options.variant or params.variants[-1]
        if variant not in params.variants:
            raise UserError(f"--variant {variant} is not among the params' {list(params.variants)}")
        rehearsal(params, variant, options.seed)
    except UserError as error:
        print(f"train: {error}", file=sys.stderr, flush=True)
        return USER_MISTAKE
    return DONE


def rehearsal(params: Params, variant: str, seed: int) -> None:
    """With ``models/base`` where it is there, else with a fresh model of its architecture."""
    base = paths.BASE.absolute()
    config = base / "config.json"
    if config.is_file():
        vocabulary = read_json(config)["vocab_size"]
        layers = read_json(config)["num_hidden_layers"]
        positions, std = params.positions(variant, layers), params.train_of(variant).map_std
        build = functools.partial(start, base, positions, seed, std)
    elif params.base.architecture is not None:
        vocabulary = params.tokenizer.vocab_size or OLMO2_VOCABULARY
        shape = params.base.architecture
        positions = params.positions(variant, shape.num_hidden_layers)
        build = functools.partial(fresh, shape, vocabulary, positions)
    else:
        raise UserError(
            f"{config}: no such file, and the params have no base.architecture; run base"
        )
    loaded = base if config.is_file() else None
    rehearse(f"train@{variant}-{seed}", params.train_of(variant), build, vocabulary, loaded)


OLMO2_VOCABULARY = 100352
"""Rows of OLMo-2's embedding, for a tokenizer that is not there yet."""


def fresh(shape: Architecture, vocabulary: int, positions: list[str]) -> nn.Module:
    """A model of this shape with random weights."""
    torch.manual_seed(0)
    values = shape.model_dump(exclude={"rope_theta"})
    config = repo_model.RepoOlmo2Config(
        positions=positions,
        vocab_size=vocabulary,
        eos_token_id=0,
        bos_token_id=None,
        pad_token_id=None,
        rope_parameters={"rope_type": "default", "rope_theta": shape.rope_theta},
        **values,
    )
    return repo_model.RepoOlmo2ForCausalLM(config)
