"""A file of benchmark samples as work for a model, and its results as records."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stages.common.encoder import Encoder
from stages.common.errors import UserError
from stages.common.files import read_jsonl
from stages.evaluate.answers import prediction
from stages.evaluate.prefixes import in_order, key
from stages.evaluate.scorers import score
from stages.evaluate.shards import OWN_ENGINE, Model, Shard, batches

_COPIED = ("id", "suite", "task", "length", "depth", "outputs", "metric")
_COPIED_IF = ("words", "first_line", "all_classes", "question", "groups", "asked")
"""What a scorer needs of some tasks: a record can be scored again without its sample."""


@dataclass(frozen=True)
class Part:
    """One file of benchmark samples, and the shards it is cut into."""

    suite: str
    task: str
    length: int
    budget: int
    file: Path
    yarn_factor: float
    metric: str
    shards: tuple[Shard, ...]


@dataclass(frozen=True)
class Cutting:
    """What decides how files are cut into shards and decoded, the same for all of them."""

    root: Path
    """Sample files are named relative to it."""
    eos_ids: tuple[int, ...]
    batch_tokens: int
    stop_when_answered: bool = True
    engine: str = OWN_ENGINE


def first(root: Path, file: str) -> dict[str, Any]:
    """The first sample of a file; an empty file is refused."""
    for sample in read_jsonl(root / file):
        return dict(sample)
    raise UserError(f"{root / file}: no samples; run the stage 'benchmarks' again")


def cut(file: str, digest: str, model: Model, how: Cutting) -> Part:
    """Cut a file into shards of samples of like length, or with a like beginning."""
    sample = first(how.root, file)
    length, budget = sample["length"], sample["max_new_tokens"]
    rows = in_order([key(row["prompt_ids"]) for row in read_jsonl(how.root / file)])
    return Part(
        suite=sample["suite"],
        task=sample["task"],
        length=length,
        budget=budget,
        file=how.root / file,
        yarn_factor=model.yarn_factor or 1.0,
        metric=sample["metric"],
        shards=tuple(
            Shard(
                kind="samples",
                model=model,
                source=file,
                source_sha256=digest,
                rows=batch,
                length=length,
                max_new_tokens=budget,
                eos_ids=how.eos_ids,
                stop_when_answered=how.stop_when_answered,
                engine=how.engine,
            )
            for batch in batches(rows, length, how.batch_tokens)
        ),
    )


def records(
    part: Part, results: Mapping[Shard, list[Any]], encoder: Encoder
) -> Iterator[tuple[dict[str, Any], float]]:
    """One record a sample, in the file's order, and the seconds it took.

    The seconds are apart from the record: they differ from run to run, and records are hashed.
    """
    found = {
        row: result
        for shard in part.shards
        for row, result in zip(shard.rows, results[shard], strict=True)
    }
    for row, sample in enumerate(read_jsonl(part.file)):
        result = found[row]
        # A server answers with text: its ids are only counted.
        text = prediction(sample, result.get("text", encoder.text(result["ids"])))
        yield (
            {
                **{key: sample[key] for key in _COPIED},
                **{key: sample[key] for key in _COPIED_IF if sample.get(key) not in (None, False)},
                "prompt_tokens": len(sample["prompt_ids"]),
                "output_tokens": len(result["ids"]),
                "output_ids": result["ids"],
                "prediction": text,
                "score": round(score(sample, text), 6),
                "shortcut": sample["shortcut"],
                "truncated": sample.get("truncated", False),
                "ended_by_eos": result["ended"],
                "stopped": result["stopped"],
                "needle_position": result["position"],
            },
            result["seconds"],
        )
