"""Targets of sources: exact shares, everywhere in a phase, whatever the workers; passes bounded."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from stages.common.errors import UserError
from stages.common.files import read_json
from stages.common.tokens import DTYPE, TokenStore
from stages.training.counted import counted
from stages.training.order import DataOrder
from stages.training.params import LengthPhase, TrainingParams
from stages.training.realised import expected, shared_out

LENGTH = 16


def _params(
    given: TrainingParams, sources: Any, tokens: int = 100 * 128, length: int = LENGTH
) -> TrainingParams:
    phase = {"length": length, "share": 1.0, "sources": sources}
    return TrainingParams(**{**given.model_dump(), "tokens": tokens, "lengths": (phase,)})


@pytest.fixture
def store(tokens: Path) -> TokenStore:
    """Source a has ids below 32 only, b the others, so that a row tells its source."""
    for shard in read_json(tokens / "manifest.json")["shards"]:
        first = 32 if shard["source"] == "b" else 0
        ids = (np.arange(shard["tokens"]) % 32 + first).astype(DTYPE)
        ids.tofile(tokens / shard["file"])
    return TokenStore(tokens)


@pytest.mark.parametrize(
    ("sources", "share"),
    [
        ({"a": {"share": 0.37}, "b": {"share": 0.63}}, 0.63),
        ({"a": {"tokens": 3_000}, "b": {"tokens": 1_000}}, 0.25),
        ({"b": {"share": 1.0}}, 1.0),
    ],
)
def test_shares_hold_everywhere_and_whatever_the_workers(
    sources: Any, share: float, store: TokenStore, training_params: TrainingParams
) -> None:
    params = _params(training_params, sources)
    order, other = DataOrder(store, params, 1), DataOrder(store, params, 1)
    rows = order.rows(0)
    of_b = []
    for step in range(order.steps):
        whole = order.batch(step, 0, rows)
        parts = [other.batch(step, first, rows // 2) for first in (0, rows // 2)]
        np.testing.assert_array_equal(whole, np.concatenate(parts))
        assert ((whole >= 32).all(1) == (whole >= 32).any(1)).all()  # no row of two sources
        of_b += (whole[:, 0] >= 32).tolist()
    assert abs(np.mean(of_b) - share) <= 0.5 / len(of_b) + 1e-9
    for start in range(0, len(of_b) - 100, 50):
        assert abs(np.mean(of_b[start : start + 100]) - share) <= 0.02
    found = counted(store.manifest, params, 1)
    assert found["b"].tokens == sum(of_b) * LENGTH
    assert found["b"].share == pytest.approx(share, abs=1e-3)  # 0.1 points
    assert sum(part.tokens for part in found.values()) == params.tokens
    assert expected(params, {"a": 2200.0, "b": 1100.0}) == found
    assert found["b"].passes == pytest.approx(found["b"].tokens / 1100)


def test_a_pass_reads_every_sequence_once(
    store: TokenStore, training_params: TrainingParams, tokens: Path
) -> None:
    ids = (np.arange(1100) + 32).astype(DTYPE)  # every place has its own id
    ids.tofile(tokens / "train/b-00000.npy")
    order = DataOrder(store, _params(training_params, {"b": {"share": 1.0}}), 1)
    chunks = 1100 // LENGTH
    rows = np.concatenate([order.batch(step, 0, order.rows(step)) for step in range(30)])
    first, second = rows[:chunks, 0].tolist(), rows[chunks : 2 * chunks, 0].tolist()
    assert sorted(first) == sorted(second) == [32 + LENGTH * n for n in range(chunks)]
    assert first != second


def test_too_many_passes_are_refused(store: TokenStore, training_params: TrainingParams) -> None:
    sources = {"a": {"share": 0.5}, "b": {"share": 0.5, "max_passes": 4.0}}
    with pytest.raises(UserError, match=r"sources\.b\.max_passes is 4, but .* 5\.88 passes"):
        DataOrder(store, _params(training_params, sources), 1)
    sources["b"]["max_passes"] = 6.0
    DataOrder(store, _params(training_params, sources), 1)


@pytest.mark.parametrize(
    ("sources", "told"),
    [
        ({"a": {"share": 0.5}}, "the shares add up to 0.5"),
        ({"a": {"share": 0.5}, "b": {"tokens": 5}}, "some have share and some tokens"),
        ({"a": {}}, "sources.a has neither share nor tokens; give it one"),
        ({"a": {"share": 0.5, "tokens": 5}}, "sources.a has both share and tokens"),
        ({}, "sources is empty"),
    ],
)
def test_wrong_targets_are_refused(sources: Any, told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        LengthPhase.model_validate({"length": 16, "share": 1.0, "sources": sources})


def test_whole_numbers_add_up() -> None:
    assert shared_out(10, [1 / 3, 1 / 3, 1 / 3]) == [4, 3, 3]
    assert shared_out(0, [0.5, 0.5]) == [0, 0]


@pytest.mark.parametrize("length", [16, 128])
@pytest.mark.parametrize("amount", [128, 3 * 128, 100 * 128])
def test_what_is_read_is_counted_to_the_token(
    length: int, amount: int, store: TokenStore, training_params: TrainingParams
) -> None:
    """Also of sequences across shards and sources, and over part of a pass or many."""
    params = _params(training_params, None, amount, length)
    order = DataOrder(store, params, 1)
    ids = np.concatenate([order.batch(n, 0, order.rows(n)) for n in range(order.steps)])
    found = counted(store.manifest, params, 1)
    assert found["b"].tokens == int((ids >= 32).sum())
    assert found["a"].tokens == int((ids < 32).sum())
    assert sum(part.share for part in found.values()) == pytest.approx(1.0)


def test_before_a_run_sources_without_targets_are_taken_by_size(
    store: TokenStore, training_params: TrainingParams
) -> None:
    params = _params(training_params, None)
    found = expected(params, {"a": 2200.0, "b": 1100.0})
    assert found["b"].share == pytest.approx(1 / 3, abs=1e-3)
    assert found["a"].passes == pytest.approx(found["b"].passes, abs=1e-2)
    real = counted(store.manifest, params, 1)
    assert found["b"].share == pytest.approx(real["b"].share, abs=1e-2)
    assert expected(params, {"a": 2200.0, "b": None}) == {}  # not known offline
    targets = _params(training_params, {"a": {"share": 0.5}, "b": {"share": 0.5}})
    unknown = expected(targets, {"a": 2200.0, "b": None})
    assert (unknown["b"].tokens, unknown["b"].passes) == (targets.tokens // 2, None)
