"""``models/base``: a small OLMo-2 trained from scratch with RoPE, or a model of the user's.

The libraries of models are imported where a model is made: a training's driver makes none.
"""

from __future__ import annotations

import functools
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stages.base.params import Architecture, BaseParams, Start
from stages.base.version import VERSION
from stages.common import paths, trained
from stages.common.errors import UserError
from stages.common.files import link_tree, read_json
from stages.common.models import copy_tokenizer, load_model
from stages.common.outs import building
from stages.common.runs import workspace
from stages.common.stage import Job, Stage
from stages.common.tokens import TokenStore
from stages.training.launch import launch
from stages.training.run import Run

if TYPE_CHECKING:
    from torch import nn

    import repo_model

TOKENIZER_MANIFEST = "tokenizer_manifest.json"


def run(job: Job) -> None:
    """Train the base model, or take it over."""
    params = job.params.base
    if params.source == "scratch":
        _train(job, params)
    else:
        _take_over(params)


def scratch(config: repo_model.RepoOlmo2Config, start: Start | None, seed: int) -> nn.Module:
    """A fresh OLMo-2 with integer positions; its weights follow from the seed."""
    import torch
    from torch import nn

    import repo_model

    torch.manual_seed(seed)
    model = repo_model.RepoOlmo2ForCausalLM(config)
    if start is None:
        return model
    embedding_VD = model.get_input_embeddings().weight
    with torch.no_grad():
        nn.init.normal_(embedding_VD, std=start.embedding_std)
        if start.head_scale:
            model.get_output_embeddings().weight.copy_(start.head_scale * embedding_VD)
        direction_D = torch.randn(config.hidden_size)
        embedding_VD += start.shared_direction * direction_D / direction_D.square().mean().sqrt()
        if start.orthogonal_values:
            for layer in model.model.layers:
                nn.init.orthogonal_(layer.self_attn.v_proj.weight)
                nn.init.orthogonal_(layer.self_attn.o_proj.weight)
    return model


def config_of(
    shape: Architecture, vocabulary: int, eos_id: int, pad_id: int
) -> repo_model.RepoOlmo2Config:
    """The model's config: ``shape`` with the tokenizer's ids."""
    import repo_model

    values = shape.model_dump(exclude={"rope_theta"})
    return repo_model.RepoOlmo2Config(
        positions="rope",
        vocab_size=vocabulary,
        eos_token_id=eos_id,
        bos_token_id=None,
        pad_token_id=pad_id,
        rope_parameters={"rope_type": "default", "rope_theta": shape.rope_theta},
        **values,
    )


def _fresh(params: BaseParams, vocabulary: int, eos_id: int, pad_id: int) -> nn.Module:
    """The starting model, made in each worker."""
    assert params.architecture is not None
    config = config_of(params.architecture, vocabulary, eos_id, pad_id)
    return scratch(config, params.start, params.seed)


def _train(job: Job, params: BaseParams) -> None:
    assert params.training is not None
    tokenizer = read_json(paths.TOKENIZER / "manifest.json")
    vocabulary = TokenStore(paths.TOKENS).vocab_size
    build = functools.partial(_fresh, params, vocabulary, tokenizer["eos_id"], tokenizer["pad_id"])
    with workspace(job, [paths.TOKENS]) as folder:
        result = launch(
            job.label,
            Run(params.training, params.seed, paths.TOKENS.absolute(), folder, build),
            vocabulary,
        )
        with building(paths.BASE) as out:
            link_tree(result, out)
            trained.record(out, params.training.longest)
            _add_tokenizer(out)


def _take_over(params: BaseParams) -> None:
    """Save the user's model in this project's format, weights unchanged."""
    if params.source.startswith((".", "/")) and not Path(params.source).is_dir():
        raise UserError(f"base.source is {params.source!r}: no such folder")
    model = load_model(params.source, "base.source", revision=params.revision)
    if params.architecture is not None:
        _check_shape(params.architecture, model.config)
    rows = model.get_input_embeddings().weight.shape[0]
    vocabulary = read_json(paths.TOKENIZER / "manifest.json")["vocab_size"]
    if vocabulary > rows:
        raise UserError(
            f"tokenizer.source gives {vocabulary} tokens, but base.source {params.source!r} has "
            f"{rows} embedding rows; use the base model's own tokenizer"
        )
    with building(paths.BASE) as out:
        model.save_pretrained(out)
        if params.moments:
            from stages.base.native_moments import add_moments

            add_moments(Path(params.source), model, out)
        _add_tokenizer(out)
    print(f"base: {sum(p.numel() for p in model.parameters()):,} parameters", flush=True)


def _add_tokenizer(out: Path) -> None:
    """The tokenizer's files, and its manifest: ``train`` compares it to what made the tokens."""
    copy_tokenizer(paths.TOKENIZER, out)
    shutil.copyfile(paths.TOKENIZER / "manifest.json", out / TOKENIZER_MANIFEST)


def _check_shape(shape: Architecture, config: Any) -> None:
    """The params' architecture must be the model's: other params were checked against it."""
    for name, expected in shape.model_dump(exclude={"rope_theta", "initializer_range"}).items():
        if getattr(config, name) != expected:
            raise UserError(
                f"base.architecture.{name} is {expected}, but the model has {getattr(config, name)}"
            )


STAGE = Stage(name="base", version=VERSION, reads=("base",), run=run)
