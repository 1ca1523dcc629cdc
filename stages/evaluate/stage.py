"""One trained model on every benchmark sample and on the validation text, at every length.

Up to the trained length the trained model is read; beyond it the extended one, with YaRN's factor
of that length (zero-shot: 2 at twice the length, 4 at four times).

- ``results/<item>/samples/<suite>-<task>-<length>.jsonl``: one record a sample.
- ``results/<item>/metrics.json``: one figure a cell, with its standard error.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stages.benchmarks.encoder import Encoder
from stages.common import paths
from stages.common.errors import UserError
from stages.common.files import fingerprint, read_json, read_jsonl, sha256, write_json, write_jsonl
from stages.common.outs import building
from stages.common.runs import workspace
from stages.common.stage import Job, Stage
from stages.common.tokens import TokenStore
from stages.evaluate import perplexity, pool
from stages.evaluate.models import Models, weights_sha256
from stages.evaluate.scorers import score
from stages.evaluate.shards import Model, Shard, batches
from stages.evaluate.statistics import cell
from stages.evaluate.version import VERSION
from stages.evaluate.worker import Worker


@dataclass(frozen=True)
class Part:
    """One file of benchmark samples, and the shards it is cut into."""

    suite: str
    task: str
    length: int
    budget: int
    file: Path
    yarn_factor: float
    shards: tuple[Shard, ...]


def run(job: Job) -> None:
    """Evaluate the job's model."""
    item = job.item
    models = Models(item)
    encoder = _encoder(paths.model(item))
    manifest = read_json(paths.BENCHMARKS / "manifest.json")
    store, tokens_sha256 = TokenStore(paths.TOKENS), fingerprint(paths.TOKENS)
    batch_tokens = pool.batch_tokens()

    def windows(model: Model, length: int) -> list[Shard]:
        most = job.params.evaluate.perplexity_tokens
        return perplexity.shards(store, tokens_sha256, model, length, most, batch_tokens)

    parts = [
        _part(file, digest, models, store.eos_id, batch_tokens)
        for file, digest in sorted(manifest["hashes"].items())
        if "/" in file  # the probes are for the analysis
    ]
    validation = [s for length in manifest["lengths"] for s in windows(models.at(length), length)]
    base = windows(models.base, models.trained_tokens)
    shards = [*(shard for part in parts for shard in part.shards), *validation, *base]
    # Together what one model reads: it is loaded once.
    shards.sort(key=lambda shard: (shard.model.folder, shard.model.yarn_factor or 1.0))
    inputs = [paths.BENCHMARKS, paths.TOKENS, paths.model(item), paths.extended(item), paths.BASE]
    places = (Path.cwd(), paths.BENCHMARKS.absolute(), paths.TOKENS.absolute())
    out = paths.results(item)
    with (
        workspace(job, inputs) as work,
        building(out / "samples") as samples_out,
        building(out / "metrics.json") as metrics_out,
    ):
        results = pool.finish(shards, work / "shards", Worker, places)
        cells: dict[str, Any] = {}
        for part in parts:
            records = list(_records(part, results, encoder))
            write_jsonl(samples_out / f"{part.suite}-{part.task}-{part.length}.jsonl", records)
            tasks = cells.setdefault(part.suite, {}).setdefault(part.task, {})
            tasks[str(part.length)] = cell(records, part.budget, part.yarn_factor)
        before = perplexity.cells(base, results)
        metrics = {
            "version": VERSION,
            "variant": job.variant,
            "seed": job.seed,
            "model": weights_sha256(paths.model(item)),
            "cells": cells,
            "validation": perplexity.cells(validation, results),
            "base_validation": {
                source: lengths[str(models.trained_tokens)] for source, lengths in before.items()
            },
        }
        write_json(metrics_out, metrics)
    for line in _summary(job.label, metrics):
        print(line, flush=True)


def _encoder(model: Path) -> Encoder:
    ours = sha256(model / "tokenizer.json")
    if ours != read_json(paths.BENCHMARKS / "manifest.json")["tokenizer"]:
        raise UserError(
            f"{model}/tokenizer.json: not the tokenizer of {paths.BENCHMARKS}; run the stage "
            "'benchmarks' again"
        )
    return Encoder(model)


def _part(file: str, digest: str, models: Models, eos_id: int, batch_tokens: int) -> Part:
    """Cut a file into shards of samples of like length: little padding, and none is lost."""
    sizes, sample = [], None
    for sample in read_jsonl(paths.BENCHMARKS / file):
        sizes.append(len(sample["prompt_ids"]))
    if sample is None:
        raise UserError(f"{paths.BENCHMARKS / file}: no samples; run the stage 'benchmarks' again")
    length, budget = sample["length"], sample["max_new_tokens"]
    model = models.at(length)
    rows = sorted(range(len(sizes)), key=lambda row: (sizes[row], row))
    return Part(
        suite=sample["suite"],
        task=sample["task"],
        length=length,
        budget=budget,
        file=paths.BENCHMARKS / file,
        yarn_factor=model.yarn_factor or 1.0,
        shards=tuple(
            Shard("samples", model, file, digest, batch, length, budget, eos_id)
            for batch in batches(rows, length, batch_tokens)
        ),
    )


def _records(
    part: Part, results: Mapping[Shard, list[Any]], encoder: Encoder
) -> Iterator[dict[str, Any]]:
    """One record a sample, in the file's order."""
    found = {
        row: result
        for shard in part.shards
        for row, result in zip(shard.rows, results[shard], strict=True)
    }
    for row, sample in enumerate(read_jsonl(part.file)):
        prediction = encoder.text(found[row]["ids"])
        yield {
            **{key: sample[key] for key in ("id", "suite", "task", "length", "depth", "outputs")},
            "prompt_tokens": len(sample["prompt_ids"]),
            "output_ids": found[row]["ids"],
            "prediction": prediction,
            "score": round(score(sample, prediction), 6),
            "shortcut": sample["shortcut"],
            "truncated": sample.get("truncated", False),
            "ended_by_eos": found[row]["ended"],
        }


def _summary(label: str, metrics: Mapping[str, Any]) -> Iterator[str]:
    """A line a task: its scores at every length."""
    for tasks in metrics["cells"].values():
        for task, lengths in tasks.items():
            ordered = sorted(lengths.items(), key=lambda entry: int(entry[0]))
            scores = ", ".join(f"{length}: {figures['score']:.1f}" for length, figures in ordered)
            yield f"{label}: {task} {scores}"


STAGE = Stage(name="evaluate", version=VERSION, reads=("evaluate",), run=run, matrix=True)
