"""One model on every benchmark sample and every validation window: what a stage writes of it.

Under the out ``samples``:

- ``<suite>-<task>-<length>.jsonl``: one record a sample.
- ``windows/<source>-<length>.jsonl``: one record a validation window.
- ``plain/...``: the same, for lengths beyond the trained one that the base's own window holds, read
  without YaRN. Without such lengths there is no ``plain``.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from stages.benchmarks import official, ruler
from stages.common import paths
from stages.common.encoder import Encoder
from stages.common.errors import UserError
from stages.common.files import fingerprint, read_json, sha256, write_json, write_jsonl
from stages.common.token_files import home
from stages.common.tokens import TokenStore
from stages.common.trained import Trained
from stages.evaluate import ends, made, perplexity, pool
from stages.evaluate.comparison import summary
from stages.evaluate.models import weights_sha256
from stages.evaluate.params import EvaluateParams
from stages.evaluate.parts import Cutting, Part, cut, first, records
from stages.evaluate.records import PLAIN, WINDOWS
from stages.evaluate.shards import Model, Shard
from stages.evaluate.statistics import cell
from stages.evaluate.worker import Worker, carried


class Reads(Protocol):
    """A model by the length it reads (``stages.evaluate.models``)."""

    folder: Path
    trained: Trained
    extension: dict[str, Any]
    """``layers`` that YaRN is put on (``all`` or ``rope``), ``steps`` of training after it."""

    def at(self, length: int) -> Model:
        """The model of the tables."""

    def plain(self, length: int) -> Model | None:
        """The same without extension, where that is another reading."""


@dataclass(frozen=True)
class Way:
    """The work of one way to read the model."""

    parts: list[Part]
    windows: list[Shard]

    @property
    def shards(self) -> list[Shard]:
        """All of it."""
        return [*(shard for part in self.parts for shard in part.shards), *self.windows]


def everything(reads: Reads, params: EvaluateParams, work: Path, out: Path) -> dict[str, Any]:
    """Measure the model, write its records to ``out`` and return its figures.

    ``work``: the folder of resumable state.
    """
    encoder = _encoder(reads.folder)
    ways = {"": _way(reads, reads.at, params), PLAIN: _way(reads, reads.plain, params)}
    shards = [shard for way in ways.values() for shard in way.shards]
    # Together what one model reads by one engine: it is loaded once.
    shards.sort(key=lambda one: (one.engine, one.model.folder, one.model.yarn_factor or 1.0))
    places = (
        Path.cwd(),
        paths.BENCHMARKS.absolute(),
        paths.TOKENS.absolute(),
        reads.folder.absolute(),
        home(),
        carried(),
    )
    results = pool.finish(shards, work / "shards", Worker, places)
    found = {
        name: _figures(way, results, encoder, out / name, work / "seconds" / name)
        for name, way in ways.items()
    }
    return {
        "model": weights_sha256(reads.folder),
        "trained": reads.trained._asdict(),
        "extension": reads.extension,
        "made": made.decoding(results, pool.batch_tokens()),
        **found[""],
        "suites": {
            suite: summary(tasks, official.TASKS if suite == ruler.SUITE else ())
            for suite, tasks in found[""]["cells"].items()
        },
        "plain": found[PLAIN],
    }


def _way(reads: Reads, model: Callable[[int], Model | None], params: EvaluateParams) -> Way:
    """Samples and windows of the lengths for which there is a model."""
    manifest = read_json(paths.BENCHMARKS / "manifest.json")
    store, tokens_sha256 = TokenStore(paths.TOKENS), fingerprint(paths.TOKENS)
    batch, most = pool.batch_tokens(), params.perplexity_tokens
    eos_ids = ends.of_folder(reads.folder, store.eos_id)
    how = Cutting(paths.BENCHMARKS, eos_ids, batch, params.stop_when_answered, params.engine)
    way = Way([], [])
    for file, digest in sorted(manifest["hashes"].items()):
        # The probes, which have no folder, are for the analysis.
        if "/" in file and (reader := model(first(how.root, file)["length"])):
            way.parts.append(cut(file, digest, reader, how))
    for length in manifest["lengths"]:
        if reader := model(length):
            way.windows.extend(perplexity.shards(store, tokens_sha256, reader, length, most, batch))
    return way


def _figures(
    way: Way, results: Mapping[Shard, list[Any]], encoder: Encoder, out: Path, seconds_out: Path
) -> dict[str, Any]:
    cells: dict[str, Any] = {}
    for part in way.parts:
        found, seconds = zip(*records(part, results, encoder), strict=True)
        name = f"{part.suite}-{part.task}-{part.length}"
        write_jsonl(out / f"{name}.jsonl", found)
        write_json(seconds_out / f"{name}.json", seconds)
        tasks = cells.setdefault(part.suite, {}).setdefault(part.task, {})
        tasks[str(part.length)] = cell(found, part.budget, part.yarn_factor, part.metric)
    rows = list(perplexity.records(way.windows, results))
    by_cell: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        by_cell.setdefault(f"{row['source']}-{row['length']}", []).append(row)
    for name, group in by_cell.items():
        write_jsonl(out / WINDOWS / f"{name}.jsonl", group)
    return {"cells": cells, "validation": perplexity.cells(rows)}


def lines(label: str, metrics: Mapping[str, Any]) -> Iterator[str]:
    """How it was read, then a line a task: its scores at every length."""
    yield f"{label}: {Trained(**metrics['trained']).said()}"
    for tasks in metrics["cells"].values():
        for task, lengths in tasks.items():
            ordered = sorted(lengths.items(), key=lambda entry: int(entry[0]))
            scores = ", ".join(f"{length}: {figures['score']:.1f}" for length, figures in ordered)
            yield f"{label}: {task} {scores}"


def inputs(*models: Path) -> Sequence[Path]:
    """What the work follows from, besides params and VERSION."""
    return [paths.BENCHMARKS, paths.TOKENS, *models]


def _encoder(model: Path) -> Encoder:
    ours = sha256(model / "tokenizer.json")
    if ours != read_json(paths.BENCHMARKS / "manifest.json")["tokenizer"]:
        raise UserError(
            f"{model}/tokenizer.json: not the tokenizer of {paths.BENCHMARKS}; run the stage "
            "'benchmarks' again"
        )
    return Encoder(model)
