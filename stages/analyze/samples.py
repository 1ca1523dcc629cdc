"""Which inputs are looked at: the probes, and retrieval samples at the trained length."""

from itertools import chain, islice, zip_longest
from pathlib import Path
from typing import Any

from stages.common.files import read_json, read_jsonl


def probes(benchmarks: Path) -> list[dict[str, Any]]:
    """The structured and the noisy text of ``data/benchmarks``."""
    return list(read_jsonl(benchmarks / "probes.jsonl"))


def retrieval(benchmarks: Path, count: int, trained: int) -> list[dict[str, Any]]:
    """``count`` needle-in-a-haystack samples, the tasks in turn.

    They have the greatest length that is not beyond ``trained`` tokens, else the shortest. None
    where the benchmarks have no such task.
    """
    lengths = read_json(benchmarks / "manifest.json")["lengths"]
    length = max((n for n in lengths if n <= trained), default=min(lengths))
    files = sorted((benchmarks / "ruler").glob(f"niah_*-{length}.jsonl"))
    tasks = [islice(read_jsonl(file), count) for file in files]
    in_turn = chain.from_iterable(zip_longest(*tasks))
    return list(islice((sample for sample in in_turn if sample is not None), count))
