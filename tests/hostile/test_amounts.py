"""Numbers of params that are no mistake by type, and one in fact: refused, or told what they cost."""

from typing import Any

import pytest

from tests.stages.checks.conftest import Check, check, cores_with_bf16  # noqa: F401

AMOUNTS: dict[str, tuple[dict[str, Any], str, str]] = {
    "no address": ({"tokenize.shard_tokens": 10**11}, "refuse", "outside 1024 to"),
    "samples": ({"benchmarks.ruler.samples": 100_000}, "warn", "200 times RULER's own"),
    "of a task": ({"benchmarks.ruler.samples_of": {"niah_single_1": 50_000}}, "warn", "GB on disk"),
    "sane": ({"benchmarks.ruler.samples": 5_000, "tokenize.shard_tokens": 10**8}, "", ""),
}


@pytest.mark.parametrize("name", AMOUNTS)
def test_an_amount_says_what_it_costs(name: str, check: Check) -> None:  # noqa: F811
    changes, level, why = AMOUNTS[name]
    found = [one for one in check(changes) if one.field in changes or "samples" in one.field]
    assert [one.level for one in found] == ([level] if level else [])
    assert not found or why in found[0].line
