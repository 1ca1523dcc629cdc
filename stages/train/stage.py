"""Continual pre-training: ``models/<variant>-<seed>`` and its loss curve.

Every variant starts from the same base and sees the same data in the same order; the seed decides
the order and the new maps' initial weights.
"""

import csv
import functools
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from stages.base.stage import TOKENIZER_MANIFEST
from stages.common import paths, trained
from stages.common.errors import UserError
from stages.common.files import link_tree, read_json, read_jsonl, replacing, sha256
from stages.common.models import copy_tokenizer, load_model
from stages.common.outs import building
from stages.common.runs import workspace
from stages.common.stage import Job, Stage
from stages.common.tokens import TokenStore
from stages.common.variants import TrainDefinition, positions_of
from stages.train import origins
from stages.train.version import VERSION
from stages.training import record
from stages.training.launch import launch
from stages.training.moments import FILE as MOMENTS
from stages.training.run import Run


def run(job: Job) -> None:
    """Train the job's variant with the job's seed."""
    assert job.variant is not None and job.seed is not None
    defined = job.definition or TrainDefinition()
    assert isinstance(defined, TrainDefinition)
    params = job.params.train.with_overrides(
        defined.overrides, f"definitions.{job.variant}.train.overrides"
    )
    base = paths.BASE.absolute()
    if not defined.origins:
        check_tokenizer(base, TokenStore(paths.TOKENS))
    layers = read_json(base / "config.json")["num_hidden_layers"]
    positions = positions_of(job.variant, defined, layers, params.start_layer)
    if defined.origins:
        _take(job, defined, positions, params.longest)
        return
    build = functools.partial(start, base, positions, job.seed, params.map_std)
    with workspace(job, [paths.BASE, paths.TOKENS]) as folder:
        result = launch(
            job.label,
            Run(
                params,
                job.seed,
                paths.TOKENS.absolute(),
                folder,
                build,
                base,
                moments=base / MOMENTS if (base / MOMENTS).is_file() else None,
                reference_curve=_reference_curve(job),
            ),
            vocabulary=read_json(base / "config.json")["vocab_size"],
        )
        write_curve(paths.curve(job.item), read_jsonl(folder / "log.jsonl"))
        record.keep(folder, job.item)
        with building(paths.model(job.item)) as out:
            link_tree(result, out)
            trained.record(out, params.longest)
            copy_tokenizer(base, out)


def _take(job: Job, defined: TrainDefinition, positions: list[str], longest: int) -> None:
    """The model that ``from`` names becomes the item's; nothing is trained, so the curve is empty."""
    assert job.seed is not None
    chosen, field = defined.origins_of(job.seed), f"definitions.{job.variant}.train.from"
    origins.verify(chosen, field)
    model = origins.model_of(chosen, positions, field)
    known = trained.of_folder(Path(chosen[0].folder))
    with building(paths.model(job.item)) as out:
        model.save_pretrained(out)
        trained.record(out, known.length if known.recorded else longest)
        copy_tokenizer(paths.BASE, out)
    write_curve(paths.curve(job.item), [])
    print(f"{job.label}: {' + '.join(one.folder for one in chosen)}", flush=True)


def start(base: Path, positions: list[str], seed: int, map_std: float) -> nn.Module:
    """The base model with a position type per layer; new maps are drawn from ``seed``."""
    torch.manual_seed(seed)
    model: nn.Module = load_model(base, "models/base", positions=positions, map_std=map_std)
    return model


def check_tokenizer(base: Path, tokens: TokenStore) -> None:
    """Refuse tokens that another tokenizer made than the base model's (where ``base`` tells)."""
    manifest = base / TOKENIZER_MANIFEST
    made_by = tokens.manifest.get("tokenizer")
    if manifest.is_file() and made_by is not None and sha256(manifest) != made_by:
        raise UserError(
            f"{tokens.folder} was made by another tokenizer than {base.name}'s "
            f"({made_by[:12]}, not {sha256(manifest)[:12]}); run tokenize or base again"
        )


def _reference_curve(job: Job) -> Path | None:
    """Loss curve of the reference's run beside this one, for the alarms: no input of a result."""
    if job.reference in (None, job.variant):
        return None
    return paths.curve(f"{job.reference}-{job.seed}").absolute()


def write_curve(path: Path, points: Iterable[Mapping[str, Any]]) -> None:
    """Write the curve as the CSV that ``dvc plots`` reads; what is not seen at a point stays empty."""
    rows = list(points)
    first = ("step", "tokens", "loss", "lr")
    columns = [*first, *sorted({name for row in rows for name in row} - {*first})]
    with replacing(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


STAGE = Stage(
    name="train", version=VERSION, reads=("train",), run=run, matrix=True, defines="train"
)
