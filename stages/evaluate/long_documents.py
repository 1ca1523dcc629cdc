"""Loss on long documents: ``repo-pipeline evaluate MODEL --suite perplexity --data FILE|FOLDER``.

The first ``--num`` documents (100) that fill the longest of ``--lengths``; of each its beginning, so
that every length reads the same documents: what a longer window gives is more context for its later
tokens. Loss in nats per token, over the window and over equal parts of it from beginning to end, and
its exponential, the perplexity. Files as of a corpus (JSONL, JSON, Parquet, .txt; plain or packed).
"""

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from stages.benchmarks.samples import only_defaults
from stages.common.encoder import Encoder
from stages.common.errors import UserError
from stages.common.files import read_json, read_jsonl, sha256, write_json, write_jsonl
from stages.common.tokens import DTYPE, SPLIT, Ids
from stages.corpus.reading.found import DataFile, data_files
from stages.corpus.reading.rows import Row, rows
from stages.evaluate import made, pool
from stages.evaluate.models import trained_window
from stages.evaluate.shards import Model, Shard, batches
from stages.evaluate.statistics import mean, standard_error
from stages.evaluate.version import VERSION
from stages.evaluate.worker import Worker, carried
from stages.tokenize.long_texts import parts

SUITE = "perplexity"
SOURCE = "documents"
_DOCUMENTS = 100
_METRICS = "metrics.json"
_NOT_HERE = {
    **dict.fromkeys(("tasks", "new_tokens", "max_length", "endpoint", "served")),
    **dict.fromkeys(("full", "no_prefix", "strict"), False),
    "engine": "own",
    "template": "none",
    "protocol": "nvidia",
    "seed": 42,
}
"""Options that mean nothing here, and what they are where nobody gave them."""


def check(options: Any) -> None:
    """Refuse what this suite has no use for, and an earlier result that is no such one."""
    only_defaults(options, _NOT_HERE, f"--suite {SUITE}")
    if options.data is None:
        raise UserError("--data is missing: give a file or a folder of documents")
    if options.against is not None:
        _earlier(options.against)


def evaluate(
    options: Any,
    models: Mapping[int, Model],
    config: Mapping[str, Any],
    tokenizer: Path,
    work: Path,
) -> None:
    """Measure a model at each length; ``work`` is the folder of what may be resumed."""
    encoder, longest = Encoder(tokenizer), max(models)
    against = None if options.against is None else _earlier(options.against)
    known = _beginnings(Path(options.data), encoder, longest, options.num or _DOCUMENTS)
    tokens = work / SUITE
    digest = _write(tokens, list(known.values()))
    starts = [number * longest for number in range(len(known))]
    shards = [
        Shard("windows", model, SOURCE, digest, batch, length, 0, ())
        for length, model in models.items()
        for batch in batches(starts, length, pool.batch_tokens())
    ]
    shards.sort(key=lambda shard: shard.model.yarn_factor or 1.0)
    places = (Path("/"), Path(), tokens.absolute(), tokenizer.absolute(), None, carried())
    results = pool.finish(shards, work / "shards", Worker, places)
    kind = pool.kind_of(shards, work / "shards")
    names = dict(zip(starts, known, strict=True))
    records = [
        {"id": names[start], "length": shard.length, **found}
        for shard in shards
        for start, found in zip(shard.rows, results[shard], strict=True)
    ]
    metrics = {
        "version": VERSION,
        "suite": SUITE,
        "model": options.model,
        "sha256": next(iter(models.values())).sha256,
        "trained": trained_window(dict(config)),
        "tokenizer": sha256(tokenizer / "tokenizer.json"),
        "opening_ids": encoder.opening(),
        "tokens_sha256": digest,
        "made": {"device_kind": kind, "versions": made.versions()},
        "lengths": {
            str(length): _figures([row for row in records if row["length"] == length])
            | {"yarn_factor": model.yarn_factor or 1.0}
            for length, model in models.items()
        },
    }
    lines = list(
        _lines(metrics, records, against)
    )  # before --out, which may be the folder of --against
    if options.out is not None:
        for length in models:
            those = [row for row in records if row["length"] == length]
            write_jsonl(options.out / "samples" / f"{SUITE}-{length}.jsonl", those)
        write_json(options.out / _METRICS, metrics)
    for line in lines:
        print(line)


def _beginnings(path: Path, encoder: Encoder, length: int, most: int) -> dict[str, Ids]:
    """Name -> the first ``length`` ids of each document that has so many, the opening among them."""
    found: dict[str, Ids] = {}
    for name, ids in _long(path, encoder, length):
        found.setdefault(name, ids)  # a text that is there twice counts once
        if len(found) == most:
            break
    if len(found) < 2:
        raise UserError(
            f"--data is {str(path)!r}: {len(found)} documents of {length:,} tokens in it; give longer "
            "ones, or shorter --lengths"
        )
    return found


def _long(path: Path, encoder: Encoder, length: int) -> Iterator[tuple[str, Ids]]:
    for file in _files(path):
        for row in _rows(file):
            if row.text is None:
                raise UserError(
                    f"{file.path} {row.place}: {row.problem}; a document stands in the field 'text'"
                )
            if len(row.text.encode()) < length - 1:  # a token has a byte at least
                continue
            ids = encoder.opening()
            for part in parts(row.text, encoder):
                ids += encoder.batch([part])[0].ids
                if len(ids) >= length:
                    name = hashlib.sha256(row.text.encode()).hexdigest()[:16]
                    yield name, np.array(ids[:length], dtype=DTYPE)
                    break


def _files(path: Path) -> list[DataFile]:
    try:
        return data_files(path, "text", "--data")
    except UserError as error:
        raise UserError(str(error).replace("--data.path is", "--data is")) from None


def _rows(file: DataFile) -> Iterator[Row]:
    try:
        yield from rows(file.path, file.kind, "text")
    except UserError as error:
        raise UserError(
            str(error).replace("corpus.text_field is", "the field looked for is")
        ) from None


def _write(folder: Path, documents: Sequence[Ids]) -> str:
    """The ids as a store of tokens; returns the hash of the file."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "documents.npy"
    np.array(documents, dtype=DTYPE).tofile(file)
    digest, count = sha256(file), sum(map(len, documents))
    shard = {"file": file.name, "split": SPLIT, "source": SOURCE, "tokens": count}
    write_json(folder / "manifest.json", {"shards": [shard], "eos_id": 0, "vocab_size": 0})
    return digest


def _figures(group: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    losses = [row["loss"] for row in group]
    error = standard_error(losses)
    places = zip(*(row["places"] for row in group), strict=True)
    return {
        "documents": len(group),
        "loss": round(mean(losses), 6),
        "stderr": None if error is None else round(error, 6),
        # A model that has diverged has none that a float holds.
        "perplexity": round(math.exp(mean(losses)), 4) if mean(losses) < 700 else None,
        "places": [round(mean(place), 6) for place in places],
    }


def _lines(
    metrics: Mapping[str, Any],
    records: Sequence[Mapping[str, Any]],
    against: "_Earlier | None",
) -> Iterator[str]:
    lengths = metrics["lengths"]
    count = next(iter(lengths.values()))["documents"]
    yield f"loss on {count} documents, nats per token ± standard error, {metrics['model']}"
    for length, figures in lengths.items():
        way = f", YaRN x{figures['yarn_factor']:g}" if figures["yarn_factor"] > 1 else ""
        known = figures["perplexity"]
        shown = "beyond all numbers" if known is None else f"{known:.2f}"
        loss = f"{figures['loss']:.4f} ± {figures['stderr']:.4f}"
        yield f"{length:>8} tokens: {loss}, perplexity {shown}{way}"
        by_place = " ".join(f"{loss:.3f}" for loss in figures["places"])
        yield f"{'':>8} from its beginning to its end: {by_place}"
    if against is not None:
        yield from _compared(metrics, records, against)


@dataclass(frozen=True)
class _Earlier:
    """What an earlier ``--out`` left, read before anything is written."""

    metrics: dict[str, Any]
    losses: dict[tuple[str, str], float]
    """By length and document."""


def _earlier(folder: Path) -> _Earlier:
    wrong = f"--against is {str(folder)!r}"
    if not (folder / _METRICS).is_file():
        raise UserError(f"{wrong}: no metrics.json in it; give what an earlier --out left")
    found = read_json(folder / _METRICS)
    found = found if isinstance(found, dict) else {}
    if (found.get("suite"), found.get("version")) != (SUITE, VERSION):
        raise UserError(
            f"{wrong}, of --suite {found.get('suite')}, version {found.get('version')}; give one of "
            f"--suite {SUITE}, version {VERSION}"
        )
    try:
        losses = {
            (length, row["id"]): float(row["loss"])
            for length in found["lengths"]
            for row in read_jsonl(folder / "samples" / f"{SUITE}-{length}.jsonl")
        }
        _ = found["tokenizer"], found["model"]
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{wrong}: not whole ({type(error).__name__}: {error}); measure it again"
        ) from None
    return _Earlier(found, losses)


def _compared(
    metrics: Mapping[str, Any], records: Sequence[Mapping[str, Any]], other: _Earlier
) -> Iterator[str]:
    """Loss minus the other's, document by document."""
    name = other.metrics["model"]
    if other.metrics["tokenizer"] != metrics["tokenizer"]:
        yield f"against {name}: not compared: its tokenizer is another, a token another text"
        return
    yield f"against {name}, paired by document (below zero: {metrics['model']} is better):"
    for length in metrics["lengths"]:
        both = [
            row["loss"] - other.losses[length, row["id"]]
            for row in records
            if str(row["length"]) == length and (length, row["id"]) in other.losses
        ]
        if len(both) < 2:
            yield f"{length:>8} tokens: no documents in common"
            continue
        figure = f"{mean(both):+.4f} ± {standard_error(both):.4f}"
        yield f"{length:>8} tokens: {figure} ({len(both)} documents)"
