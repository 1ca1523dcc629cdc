"""Every number has a least and a most: the table against the schema, and each row both ways."""

from collections.abc import Iterator
from typing import Any

import pytest

from pipeline.use import profiles
from stages.base import check as base
from stages.base import native_moments
from stages.common import bounds
from stages.params import Params
from tests.stages.checks.conftest import Check, write_model

ROWS = {".".join(keys): bound for keys, bound in bounds.table().items()}
NUMBERS = ("integer", "number")


def number_fields() -> Iterator[str]:
    """Names of all numbers of the schema, ``*`` for any key and any item."""
    schema = Params.model_json_schema()

    def walk(part: dict[str, Any], name: str) -> Iterator[str]:
        if "$ref" in part:
            part = schema["$defs"][part["$ref"].rpartition("/")[2]]
        for branch in part.get("anyOf", ()):
            yield from walk(branch, name)
        if part.get("type") in NUMBERS and "const" not in part:
            yield name
        for key, inner in part.get("properties", {}).items():
            yield from walk(inner, f"{name}.{key}" if name else key)
        if isinstance(part.get("additionalProperties"), dict):
            yield from walk(part["additionalProperties"], f"{name}.*")
        for place, inner in enumerate(part.get("prefixItems", ())):
            yield from walk(inner, f"{name}.{place}")
        if isinstance(part.get("items"), dict):
            yield from walk(part["items"], f"{name}.*")

    yield from walk(schema, "")


def test_every_number_of_the_schema_has_a_row() -> None:
    fields = sorted(set(number_fields()))
    assert len(fields) > 80
    assert [name for name in fields if bounds.bound_of(name) is None] == []


@pytest.mark.parametrize("row", ROWS)
def test_a_row_holds_what_is_usual_and_nothing_outside(row: str) -> None:
    bound = ROWS[row]
    inside = (bound.least, bound.usual, bound.most)
    assert [value for value in inside if list(bounds.check(row, value))] == []
    outside = (bound.least - 1e-30 - abs(bound.least) / 9, bound.most * 1.1, float("nan"))
    for value in outside:
        (found,) = bounds.check(row, value)
        assert (found.level, found.field) == ("refuse", row)
        assert "\n" not in found.line and f"{bound.usual:g}" in found.fix


PARAMS: dict[str, Any] = {
    # a number that no pydantic type refuses, through the whole check: the table is asked
    "tokenize.shard_tokens": 1,
    "base.architecture.rope_theta": 1.0,
    "base.architecture.rms_norm_eps": 10.0,
    "base.training.muon_lr": 100.0,
    "base.start.embedding_std": 1e6,
    "train.eps": 1e-30,
    "train.map_lr": 10.0,
    "benchmarks.ruler.samples": 10**9,
    "benchmarks.ruler.vt.chains": 100_000,
    "evaluate.perplexity_tokens": 10**15,
    "analyze.chunk_tokens": 1,
    "corpus.seed": -5,
    "tokenizer.vocab_size": 1_000_000,  # and not by the table: smoke has 900 KB of text
}


@pytest.mark.parametrize("field", PARAMS)
def test_numbers_of_params(field: str, check: Check) -> None:
    assert [one.field for one in check({field: PARAMS[field]})] == [field]


def test_numbers_of_a_variant_have_the_users_name_for_them(check: Check) -> None:
    given = {"definitions.repo.train": {"overrides": {"eps": 1e-30}}}
    assert [one.field for one in check(given)] == ["definitions.repo.train.overrides.eps"]
    given = {"definitions.repo.evaluate": {"softmax_scale": [{"length": 256, "scale": 1e9}]}}
    assert [one.field for one in check(given)] == [
        "definitions.repo.evaluate.softmax_scale.0.scale"
    ]


CONFIGS: dict[str, dict[str, Any]] = {
    "theta of nothing": {"rope_theta": 0.0},
    "theta inside": {"rope_parameters": {"rope_type": "default", "rope_theta": -1.0}},
    "factor": {"rope_scaling": {"rope_type": "linear", "factor": 0.0}},
    "no norm": {"rms_norm_eps": 1.0},
    "layers": {"num_hidden_layers": 10**9},
    "text for a number": {"hidden_size": "576"},
    "text for a factor": {"rope_scaling": {"rope_type": "linear", "factor": "x"}},
    "rotation as text": {"rope_scaling": "linear"},
    "a truth": {"num_hidden_layers": True},
    "a fraction": {"num_attention_heads": 9.5},
    "no vocabulary": {"vocab_size": 0},
    "no inner width": {"intermediate_size": None},
    "head": {"head_dim": -64},
    "window": {"max_position_embeddings": 1},
}


@pytest.mark.parametrize("name", CONFIGS)
def test_numbers_of_a_models_config(
    name: str, own: dict[str, Any], check: Check, tmp_path: Any
) -> None:
    write_model(tmp_path / "my-model", **CONFIGS[name])
    found = check(own)
    assert [(one.level, one.field) for one in found] == [("refuse", "base.source")], found
    assert next(iter(CONFIGS[name])).split("_")[0] in found[0].line


def test_profiles_and_names_that_stand_twice() -> None:
    assert base.MOMENTS == native_moments.FILE
    assert "one-gpu" in profiles()  # test_findings: no profile has a finding
