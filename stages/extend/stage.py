"""``models/<variant>-<seed>-extended``: the trained model with YaRN in its config, perhaps tuned."""

import functools
import shutil
from pathlib import Path
from typing import Any

import repo_model
from stages.common import paths
from stages.common.errors import UserError
from stages.common.files import read_json, write_json
from stages.common.models import copy_tokenizer, load_model
from stages.common.outs import building
from stages.common.runs import workspace
from stages.common.stage import Job, Stage
from stages.extend.version import VERSION
from stages.training.launch import launch
from stages.training.params import TrainingParams
from stages.training.run import Run

SCOPES = {"rope_and_repo": "all", "rope": "rope"}


def run(job: Job) -> None:
    """Extend the job's model: zero-shot no weight changes; with ``training`` it is trained on."""
    params = job.params.extend
    source = paths.model(job.item)
    if params.training is not None:
        _fine_tune(job, params.training, source)
        return
    model = extended(source, params.factor, params.scope)
    with building(paths.extended(job.item)) as out:
        model.save_pretrained(out)
        copy_tokenizer(source, out)
    print(f"{job.label}: x{params.factor:g}", flush=True)


def extended(source: Path, factor: float, scope: str) -> Any:
    """The model of ``source`` with YaRN's frequencies."""
    model = load_model(source, str(source))
    repo_model.extend(model, factor, layers=SCOPES[scope])
    return model


def _fine_tune(job: Job, params: TrainingParams, source: Path) -> None:
    """Train on at the extended length; the config says so, for such a model keeps its factor."""
    assert job.seed is not None
    chosen = job.params.extend
    build = functools.partial(extended, source.absolute(), chosen.factor, chosen.scope)
    config = read_json(source / "config.json")
    window = int(config["max_position_embeddings"] * chosen.factor)
    longest = max(phase.length for phase in params.lengths)
    if longest > window:
        raise UserError(
            f"extend.training.lengths has {longest}, beyond the extended window of {window} tokens; "
            "raise extend.factor or shorten it"
        )
    with workspace(job, [source, paths.TOKENS]) as folder:
        tokens = paths.TOKENS.absolute()
        run = Run(params, job.seed, tokens, folder, build, source.absolute())
        trained = launch(job.label, run, vocabulary=config["vocab_size"])
        with building(paths.extended(job.item)) as out:
            shutil.copytree(trained, out)
            written = read_json(out / "config.json")
            write_json(out / "config.json", {**written, "extension_steps": params.steps})
            copy_tokenizer(source, out)


STAGE = Stage(name="extend", version=VERSION, reads=("extend",), run=run, matrix=True)
