"""``models/<variant>-<seed>-extended``: the trained model with YaRN in its config, perhaps tuned."""

import contextlib
import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import repo_model
from stages.common import paths, trained
from stages.common.errors import UserError
from stages.common.files import link, link_tree, read_json, write_json
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
    found = trained.of_folder(source)
    with building(paths.extended(job.item)) as out:
        with _refusals(source, params.factor):
            repo_model.extend_folder(
                source, out, params.factor, found.length, layers=SCOPES[params.scope], copy=link
            )
        if found.recorded:  # what an older folder does not tell is not made up
            trained.record(out, found.length, factor=params.factor)
        copy_tokenizer(source, out)
    print(f"{job.label}: x{params.factor:g}, from {found.said()}", flush=True)


def extended(source: Path, factor: float, scope: str) -> Any:
    """The model of ``source`` with YaRN's frequencies."""
    model, length = load_model(source, str(source)), trained.of_folder(source).length
    with _refusals(source, factor):
        return repo_model.extend(model, factor, length, layers=SCOPES[scope])


@contextlib.contextmanager
def _refusals(source: Path, factor: float) -> Iterator[None]:
    try:
        yield
    except ValueError as error:  # a base whose frequencies are scaled already
        raise UserError(f"extend.factor is {factor:g}: {source}: {error}") from None


def _fine_tune(job: Job, params: TrainingParams, source: Path) -> None:
    """Train on at the extended length; the config says so, for such a model keeps its factor."""
    assert job.seed is not None
    chosen = job.params.extend
    build = functools.partial(extended, source.absolute(), chosen.factor, chosen.scope)
    config, length = read_json(source / "config.json"), trained.of_folder(source).length
    window = int(length * chosen.factor)
    if params.longest > window:
        raise UserError(
            f"extend.training.lengths has {params.longest}, beyond the extended window of {window} "
            "tokens; raise extend.factor or shorten it"
        )
    with workspace(job, [source, paths.TOKENS]) as folder:
        tokens = paths.TOKENS.absolute()
        run = Run(params, job.seed, tokens, folder, build, source.absolute())
        tuned = launch(job.label, run, vocabulary=config["vocab_size"])
        with building(paths.extended(job.item)) as out:
            link_tree(tuned, out)
            written = read_json(out / "config.json")
            write_json(out / "config.json", {**written, "extension_steps": params.steps})
            trained.record(out, length, factor=chosen.factor, tuned=params.longest)
            copy_tokenizer(source, out)


STAGE = Stage(name="extend", version=VERSION, reads=("extend",), run=run, matrix=True)
