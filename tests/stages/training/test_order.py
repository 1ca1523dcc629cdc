"""The data order: one per seed, whatever the workers; every phase covers its stream."""

import json
from pathlib import Path

import numpy as np
import pytest

from stages.common.errors import UserError
from stages.common.tokens import TokenStore
from stages.training.order import DataOrder, parts_per_step, phases, varied
from stages.training.params import Repetition, TrainingParams
from stages.training.progress import Progress
from stages.training.spikes import Spikes


def test_phases_are_whole_steps(training_params: TrainingParams) -> None:
    found = phases(training_params)
    assert [(p.first_step, p.steps, p.length) for p in found] == [(0, 6, 16), (6, 6, 32)]


def test_a_phase_may_have_its_own_batch(tokens: Path, training_params: TrainingParams) -> None:
    lengths = (
        {"length": 16, "share": 0.25, "batch_tokens": 64},
        {"length": 32, "share": 0.75},
    )
    params = TrainingParams(**{**training_params.model_dump(), "lengths": lengths})
    found = phases(params)
    assert [(p.first_step, p.steps, p.rows, p.first_token) for p in found] == [
        (0, 6, 4, 0),
        (6, 9, 4, 384),
    ]
    order = DataOrder(TokenStore(tokens), params, seed=0)
    assert order.batch(3, 0, 4).shape == (4, 16)
    assert [order.tokens_before(step) for step in (0, 6, 7, 15)] == [0, 384, 512, 1536]


def test_a_batch_does_not_depend_on_how_it_is_shared_out(
    tokens: Path, training_params: TrainingParams
) -> None:
    order = DataOrder(TokenStore(tokens), training_params, seed=3)
    for step in (0, 5, 6, 11):
        rows = order.rows(step)
        whole = order.batch(step, 0, rows)
        assert whole.shape == (rows, order.phase(step).length)
        parts = np.concatenate([order.batch(step, first, 2) for first in range(0, rows, 2)])
        np.testing.assert_array_equal(whole, parts)


def test_seeds_differ_and_a_pass_covers_every_chunk_once(
    tokens: Path, training_params: TrainingParams
) -> None:
    store = TokenStore(tokens)
    one = DataOrder(store, training_params, seed=3)
    assert not np.array_equal(
        one.batch(0, 0, 8), DataOrder(store, training_params, seed=4).batch(0, 0, 8)
    )
    long = training_params.model_copy(update={"tokens": 128 * 128})
    order = DataOrder(store, long, seed=3)
    chunks = len(store.stream("train")) // 16
    seen = np.concatenate([order.batch(step, 0, 8) for step in range(chunks // 8)])
    stream = store.stream("train").read(0, chunks * 16).reshape(-1, 16)
    expected = {row.tobytes() for row in stream.astype(np.int64)}
    assert {row.tobytes() for row in seen} <= expected
    assert len({row.tobytes() for row in seen}) > 0.9 * len(seen)


def test_a_phase_reads_only_its_sources(tokens: Path, training_params: TrainingParams) -> None:
    lengths = ({"length": 16, "share": 1.0, "sources": ("b",)},)
    only_b = TrainingParams(**{**training_params.model_dump(), "lengths": lengths})
    store = TokenStore(tokens)
    rows = DataOrder(store, only_b, seed=0).batch(0, 0, 8)
    stream = store.stream("train", ["b"])
    whole = stream.read(0, len(stream) // 16 * 16).reshape(-1, 16)
    assert {row.tobytes() for row in rows} <= {row.tobytes() for row in whole.astype(np.int64)}
    with pytest.raises(UserError, match="no source 'c'"):
        store.stream("train", ["c"])


def test_a_sequence_longer_than_the_tokens_is_refused(
    tokens: Path, training_params: TrainingParams
) -> None:
    lengths = ({"length": 4096, "share": 1.0},)
    long = TrainingParams(
        **{**training_params.model_dump(), "lengths": lengths, "batch_tokens": 4096, "tokens": 4096}
    )
    with pytest.raises(UserError, match="a sequence of 4096 tokens is longer than the 3300"):
        DataOrder(TokenStore(tokens), long, seed=0)


def test_parts_keep_within_the_micro_batch(training_params: TrainingParams) -> None:
    assert parts_per_step(training_params, workers=1, micro_batch_tokens=4096) == 1
    assert parts_per_step(training_params, workers=1, micro_batch_tokens=32) == 4
    assert parts_per_step(training_params, workers=2, micro_batch_tokens=32) == 2
    with pytest.raises(UserError, match="REPO_WORKERS is 3 and does not divide the 8 sequences"):
        parts_per_step(training_params, workers=3, micro_batch_tokens=4096)


def test_the_position_is_typed_and_follows_from_the_step(
    tokens: Path, training_params: TrainingParams
) -> None:
    order = DataOrder(TokenStore(tokens), training_params, seed=3)
    position = order.position(8)
    assert (position.step, position.tokens, position.phase, position.sequence) == (8, 1024, 1, 8)
    assert position.data == TokenStore(tokens).fingerprint
    assert order.position(12).tokens == 12 * 128
    Progress(position).check(position, "here")
    other = DataOrder(TokenStore(tokens), training_params, seed=4).position(8)
    with pytest.raises(UserError, match="here: its data position has order_seed 3"):
        Progress(position).check(other, "here")


def test_progress_comes_back_from_json_and_an_old_format_is_refused(
    tokens: Path, training_params: TrainingParams
) -> None:
    position = DataOrder(TokenStore(tokens), training_params, seed=3).position(8)
    spikes = Spikes((1.0, 2.0), 0, 3, 1)
    whole = Progress(position, ({"loss": 1.0},), ((0.1, 0.2), (0.3, 0.4)), 2, spikes)
    content = json.loads(json.dumps(whole.to_json()))
    assert Progress.from_json(content, "here") == whole
    with pytest.raises(UserError, match="here: checkpoint format 1, this version reads 2"):
        Progress.from_json({"step": 3, "format": 1}, "here")


def test_repetitive_sequences_are_found() -> None:
    rule = Repetition(max_period=3, max_count=4)
    draw = np.random.default_rng(0)
    plain = draw.permutation(1000)[:40].astype(np.int64)

    def with_piece(piece: list[int], times: int) -> "np.ndarray":
        made = plain.copy()
        made[10 : 10 + len(piece) * times] = piece * times
        return made

    rows = [plain, with_piece([7], 4), with_piece([7], 3), with_piece([7, 8, 9], 4)]
    rows += [with_piece([7, 8, 9], 3), with_piece([1, 2, 3, 4], 5), with_piece([7, 8], 4)]
    assert varied(np.stack(rows), rule).tolist() == [True, False, True, False, True, True, False]


def test_an_empty_shard_is_named(tokens: Path) -> None:
    (tokens / "train" / "a-00001.npy").write_bytes(b"")
    with pytest.raises(UserError, match=r"a-00001\.npy: 0 bytes where the manifest says 2800"):
        TokenStore(tokens)
