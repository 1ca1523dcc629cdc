"""One trained model on every benchmark sample and on the validation text, at every length.

Up to the trained length the trained model is read; beyond it the extended one, with YaRN's factor
of that length (zero-shot: 2 at twice the length, 4 at four times).

- ``results/<item>/samples/<suite>-<task>-<length>.jsonl``: one record a sample.
- ``results/<item>/metrics.json``: one figure a cell, with its standard error; means over a suite.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from stages.benchmarks.encoder import Encoder
from stages.common import paths
from stages.common.errors import UserError
from stages.common.files import fingerprint, read_json, sha256, write_json, write_jsonl
from stages.common.outs import building
from stages.common.runs import workspace
from stages.common.stage import Job, Stage
from stages.common.tokens import TokenStore
from stages.evaluate import perplexity, pool
from stages.evaluate.comparison import summary
from stages.evaluate.models import Models, weights_sha256
from stages.evaluate.parts import Cutting, cut, first, records
from stages.evaluate.shards import Model, Shard
from stages.evaluate.statistics import cell
from stages.evaluate.version import VERSION
from stages.evaluate.worker import Worker


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

    stops = job.params.evaluate.stop_when_answered
    how = Cutting(paths.BENCHMARKS, store.eos_id, batch_tokens, stops)
    parts = [
        cut(file, digest, models.at(first(how.root, file)["length"]), how)
        for file, digest in sorted(manifest["hashes"].items())
        if "/" in file  # the probes are for the analysis
    ]
    validation = [s for length in manifest["lengths"] for s in windows(models.at(length), length)]
    base = windows(models.base, models.trained_tokens)
    shards = [*(shard for part in parts for shard in part.shards), *validation, *base]
    # Together what one model reads: it is loaded once.
    shards.sort(key=lambda shard: (shard.model.folder, shard.model.yarn_factor or 1.0))
    inputs = [paths.BENCHMARKS, paths.TOKENS, paths.model(item), paths.extended(item), paths.BASE]
    places = (
        Path.cwd(),
        paths.BENCHMARKS.absolute(),
        paths.TOKENS.absolute(),
        paths.model(item).absolute(),
    )
    out = paths.results(item)
    with (
        workspace(job, inputs) as work,
        building(out / "samples") as samples_out,
        building(out / "metrics.json") as metrics_out,
    ):
        results = pool.finish(shards, work / "shards", Worker, places)
        cells: dict[str, Any] = {}
        for part in parts:
            found, seconds = zip(*records(part, results, encoder), strict=True)
            name = f"{part.suite}-{part.task}-{part.length}"
            write_jsonl(samples_out / f"{name}.jsonl", found)
            write_json(work / "seconds" / f"{name}.json", seconds)
            tasks = cells.setdefault(part.suite, {}).setdefault(part.task, {})
            tasks[str(part.length)] = cell(found, part.budget, part.yarn_factor)
        before = perplexity.cells(base, results)
        metrics = {
            "version": VERSION,
            "variant": job.variant,
            "seed": job.seed,
            "model": weights_sha256(paths.model(item)),
            "cells": cells,
            "suites": {suite: summary(tasks) for suite, tasks in cells.items()},
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


def _summary(label: str, metrics: Mapping[str, Any]) -> Iterator[str]:
    """A line a task: its scores at every length."""
    for tasks in metrics["cells"].values():
        for task, lengths in tasks.items():
            ordered = sorted(lengths.items(), key=lambda entry: int(entry[0]))
            scores = ", ".join(f"{length}: {figures['score']:.1f}" for length, figures in ordered)
            yield f"{label}: {task} {scores}"


STAGE = Stage(name="evaluate", version=VERSION, reads=("evaluate",), run=run, matrix=True)
