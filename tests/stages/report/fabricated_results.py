"""Fabricated results of a whole run, consistent with the formats that the stages write."""

import csv
import math
import random
import statistics
from pathlib import Path
from typing import Any

from stages.analyze.params import AnalyzeParams
from stages.base.params import Architecture, BaseParams
from stages.benchmarks.params import BenchmarksParams
from stages.common.files import write_json, write_jsonl
from stages.common.stage import Job
from stages.common.variants import (
    PATTERNS,
    Definition,
    ReportDefinition,
    TrainDefinition,
)
from stages.corpus.params import CorpusParams, Generated
from stages.extend.params import ExtendParams
from stages.params import Params
from stages.report.stage import STAGE
from stages.tokenizer.params import TokenizerParams
from stages.train.params import TrainParams
from stages.training.params import LengthPhase, TrainingParams

LENGTHS = (128, 256, 512)
TASKS = {"ruler": ("niah_single_1", "niah_multikey_1", "vt"), "longbench": ("triviaqa",)}
SHORTCUTS = {"niah_single_1": 100.0, "niah_multikey_1": 25.0, "vt": 31.25, "triviaqa": None}


def params(variants: tuple[str, ...], seeds: tuple[int, ...], **changes: Any) -> Params:
    """Sections as far as the report reads them; the schema of the others may change freely."""
    architecture = Architecture(
        hidden_size=96, intermediate_size=128, num_hidden_layers=3, num_attention_heads=4,
        num_key_value_heads=4, max_position_embeddings=128, rope_theta=10000.0,
    )  # fmt: skip
    sections: dict[str, Any] = {
        "profile": "fabricated",
        "variants": variants,
        "seeds": seeds,
        "corpus": CorpusParams.model_construct(
            source="python", generated={"facts": Generated.model_construct(bytes=1000)}
        ),
        "base": BaseParams.model_construct(
            source="scratch",
            architecture=architecture,
            training=TrainingParams.model_construct(tokens=1_000_000),
        ),
        "reference": "rope",
        "definitions": {name: definition(name) for name in variants},
        "tokenizer": TokenizerParams(source="train", vocab_size=1024),
        "train": TrainParams(
            tokens=200_000,
            batch_tokens=2048,
            lr=3e-3,
            betas=(0.9, 0.95),
            eps=1e-8,
            weight_decay=0.1,
            grad_clip=1.0,
            z_loss=1e-5,
            warmup_steps=0,
            decay_share=1.0,
            precision="fp32",
            start_layer=1,
            lengths=(LengthPhase(length=LENGTHS[0], share=1.0),),
        ),
        "extend": ExtendParams(factor=4.0),
        "benchmarks": BenchmarksParams.model_construct(seed=1, lengths=LENGTHS),
        "analyze": AnalyzeParams(samples=20, chunk_tokens=16, epsilon=0.2),
    }
    return Params.model_construct(**{**sections, **changes})


def definition(name: str, label: str | None = None) -> Definition:
    """A preset's, or that of a variant of one's own."""
    own = None if name in PATTERNS else ("rope", "repo", "repo")
    return Definition(train=TrainDefinition(positions=own), report=ReportDefinition(label=label))


def job(chosen: Params) -> Job:
    return Job(STAGE, chosen)


def write_run(variants: tuple[str, ...], seeds: tuple[int, ...], heads: int = 4) -> None:
    """Everything the report reads, in the working directory."""
    for name in ("corpus", "tokens", "benchmarks", "tokenizer"):
        write_json(Path(f"data/{name}/manifest.json"), {"name": name})
    write_benchmarks()
    base = Path("models/base/model.safetensors")
    base.parent.mkdir(parents=True)
    base.write_bytes(b"weights")
    for variant in variants:
        for seed in seeds:
            write_item(variant, seed, heads)


def write_benchmarks(n: int = 100) -> None:
    """A prompt for each record; every needle stands where its record's depth says."""
    for suite, tasks in TASKS.items():
        for task in tasks:
            for length in LENGTHS:
                rows = [
                    {
                        "id": f"{task}-{length}-{i:04}",
                        "input": f"{'hay ' * (i % 40)}the number is {1000 + i}. "
                        f"{'straw ' * 150}What is the <b>number</b>?",
                        "answer_prefix": " The number is",
                        "suite": suite,
                        "task": task,
                        "length": length,
                        "prompt_ids": [3, 4, 5, 6, 7, 8],
                        "needle_span": [[4, 6]],
                        "query_span": [[5, 6]],
                        "outputs": [f"{1000 + i}"],
                        "depth": depth(task, i),
                    }
                    for i in range(n)
                ]
                write_jsonl(Path(f"data/benchmarks/{suite}/{task}-{length}.jsonl"), rows)


def depth(task: str, i: int) -> float | None:
    return i * 61 % 100 / 99 if task.startswith("niah") else None


def write_item(variant: str, seed: int, heads: int = 4) -> None:
    rng = random.Random(f"{variant} {seed}")
    item = f"{variant}-{seed}"
    results = _results(variant, seed, rng)
    for suite, tasks in results["cells"].items():
        for task, lengths in tasks.items():
            for length, cell in lengths.items():
                write_records(item, suite, task, int(length), cell["score"], cell["shortcut"])
    _write_windows(item, results["validation"], rng)
    write_json(Path(f"results/{item}/metrics.json"), results)
    write_json(Path(f"analysis/{item}/analysis.json"), _analysis(variant, seed, heads, rng))
    with Path(f"results/{item}/loss.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        seen = ["held_out.long", "base.held_out.long", "probe", "gradient_norm", "z.std", "ringing"]
        writer.writerow(["step", "tokens", "loss", "lr", *seen])
        for step in range(1, 101):
            loss = round(2 + 2 * math.exp(-step / 30) + 0.05 * rng.random(), 6)
            looked = (
                step % 25 == 0
            )  # a look at held-out text; NoPE has no positions, one norm is inf
            norm = "inf" if step == 50 else 0.5
            learned = step / 100 if variant == "repo" else ""
            read = (
                [loss + 0.1, 3.5, step / 100, norm, learned] if looked else ["", "", "", norm, ""]
            )
            writer.writerow([step, step * 2048, loss, 1e-3, *read, ""])


def _write_windows(item: str, validation: dict[str, Any], rng: random.Random) -> None:
    """40 windows a text and length; hard and easy ones are the same for every variant.

    The entry's loss and standard error become theirs.
    """
    for source, lengths in validation.items():
        for length, entry in lengths.items():
            rows = [
                {
                    "source": source,
                    "length": int(length),
                    "start": 10 * i,
                    "loss": entry["loss"] + 0.05 * (i % 7 - 3) + rng.gauss(0, 0.02),
                    "yarn_factor": entry["yarn_factor"],
                    "places": [round(entry["loss"] + 1 / (k + 1), 6) for k in range(16)],
                }
                for i in range(40)
            ]
            write_jsonl(Path(f"results/{item}/samples/windows/{source}-{length}.jsonl"), rows)
            losses = [row["loss"] for row in rows]
            entry["loss"] = round(statistics.fmean(losses), 6)
            entry["stderr"] = round(statistics.stdev(losses) / math.sqrt(len(losses)), 6)


def write_records(
    item: str,
    suite: str,
    task: str,
    length: int,
    score: float,
    shortcut: float | None,
    n: int = 100,
) -> None:
    """``n`` answers, right or wrong, that come to ``score``; the right ones are spread over all."""
    right = round(n * score / 100)
    rows = [
        {
            "id": f"{task}-{length}-{i:04}",
            "depth": depth(task, i),
            "prediction": f" {1000 + i}, said {item}",
            "suite": suite,
            "task": task,
            "length": length,
            "score": float(i * 37 % n < right),
            "shortcut": None if shortcut is None else shortcut / 100,
        }
        for i in range(n)
    ]
    write_jsonl(Path(f"results/{item}/samples/{suite}-{task}-{length}.jsonl"), rows)


def _cell(task: str, length: int, rng: random.Random) -> dict[str, Any]:
    n, score = 100, float(rng.randrange(5, 95))
    stderr = round(100 * math.sqrt(score / 100 * (1 - score / 100) / (n - 1)), 6)
    shortcut = SHORTCUTS[task]
    return {
        "n": n,
        "score": score,
        "stderr": stderr,
        "shortcut": shortcut,
        "fill": 0.97,
        "empty": rng.randrange(4),
        "truncated": 0,
        "unended": rng.randrange(9),
        "yarn_factor": length / LENGTHS[0],
    }


def _results(variant: str, seed: int, rng: random.Random) -> dict[str, Any]:
    offset = 0.3 if variant == "nope" else -0.1

    def loss(length: int) -> dict[str, Any]:
        value = round(2.2 + offset + 0.1 * rng.random(), 6)
        factor = length / LENGTHS[0]
        return {
            "windows": 40,
            "tokens": 20_000,
            "loss": value,
            "stderr": 0.012345,
            "yarn_factor": factor,
        }

    validation = {
        source: {str(length): loss(length) for length in LENGTHS}
        for source in ("generated", "python")
    }
    facts = {
        "trained": {"length": LENGTHS[0], "window": LENGTHS[0], "recorded": True},
        "extension": {"layers": "all", "steps": 0},
        "plain": {"cells": {}, "validation": {}},
    }
    return {
        **facts,
        "variant": variant,
        "seed": seed,
        "model": f"{rng.getrandbits(256):064x}",
        "cells": {
            suite: {
                task: {str(length): _cell(task, length, rng) for length in LENGTHS}
                for task in tasks
            }
            for suite, tasks in TASKS.items()
        },
        "validation": validation,
        "base": {**facts, **_base(validation)},
    }


def _base(validation: dict[str, Any]) -> dict[str, Any]:
    """The base's figures, equal for every item but for the difference."""
    rng = random.Random("base")
    return {
        "model": "0" * 64,
        "suites": {},
        "cells": {
            suite: {
                task: {
                    str(length): {**_cell(task, length, rng), "difference": None}
                    for length in LENGTHS
                }
                for task in tasks
            }
            for suite, tasks in TASKS.items()
        },
        "validation": {
            source: {
                length: {
                    **entry,
                    "loss": 2.25,
                    "difference": {
                        "n": 40,
                        "value": round(entry["loss"] - 2.25, 6),
                        "stderr": 0.004,
                    },
                }
                for length, entry in lengths.items()
            }
            for source, lengths in validation.items()
        },
    }


def _head(z: list[float]) -> dict[str, float]:
    mean = sum(z) / len(z)
    std = math.sqrt(sum((x - mean) ** 2 for x in z) / len(z))
    return {"min": min(z), "max": max(z), "mean": mean, "std": std, "linearity": 0.1}


def _walk(rng: random.Random, tokens: int) -> list[float]:
    z = [0.0]
    for _ in range(tokens - 1):
        z.append(round(0.9 * z[-1] + rng.gauss(0, 1), 4))
    return z


def _analysis(variant: str, seed: int, heads: int, rng: random.Random) -> dict[str, Any]:
    layers = {"repo": ["rope", "repo", "repo"]}.get(variant, [variant] * 3)
    positions: dict[str, Any] = {"structured": {}, "noisy": {}}
    flags: dict[str, list[bool]] = {}
    patterns = None
    if variant == "repo":
        for layer in ("1", "2"):
            for layers_of_probe in positions.values():
                z = [_walk(rng, LENGTHS[0]) for _ in range(heads)]
                layers_of_probe[layer] = {"heads": [_head(one) for one in z], "z": z}
            flags[layer] = [False] * heads
        flags["2"] = [True] + [False] * (heads - 1)
        patterns = {"monotone": 0.051, "constant": 0.249, "hybrid": 0.7, "chunks": 1280}
    sample = {
        "id": f"niah_single_1-{LENGTHS[0]}-0000",
        "needle_span": [[40, 44]],
        "query_span": [[110, LENGTHS[0]]],
        "tokens": LENGTHS[0],
        "every": 1,
        "layers": {layer: {"z": [_walk(rng, LENGTHS[0]) for _ in range(heads)]} for layer in flags},
    }
    return {
        "variant": variant,
        "seed": seed,
        "layers": layers,
        "positions": positions,
        "sample": sample if flags else None,
        "patterns": patterns,
        "attention_mass": {
            "needle": 0.021 + 0.001 * rng.random(),
            "query": 0.014,
            "rest": 0.006,
            "uniform": 0.0081,
            "stderr": {"needle": 0.0011, "query": 0.0004, "rest": 0.0001},
            "samples": 20,
        },
        "collapsed": flags,
        "linear": {layer: [False] * heads for layer in flags},
        "thresholds": {"collapsed_range": 0.4, "linear_r2": 0.999},
    }
