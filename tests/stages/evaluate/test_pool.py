"""Shards: what identifies one, and that a finished one is never computed again."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from stages.common.errors import UserError
from stages.common.files import read_json, write_json
from stages.evaluate import pool, worker
from stages.evaluate.shards import Model, Shard, batches
from tests.stages.evaluate.without_ray import in_this_process

MODEL = Model("models/rope-1", "aa")
SHARD = Shard("samples", MODEL, "ruler/vt-64.jsonl", "bb", (0, 1), 64, 8, (0,))


def shards(count: int) -> list[Shard]:
    return [replace(SHARD, rows=(2 * i, 2 * i + 1)) for i in range(count)]


def worker_class() -> type[Any]:
    """A worker without a model; defined in here so that Ray sends it whole."""

    class Fake:
        def __init__(self, log: str, trouble: str | None, at: int) -> None:
            self.log, self.trouble, self.at = log, trouble, at

        def run(self, shard: Any) -> list[int]:
            import os
            from pathlib import Path

            with Path(self.log).open("a") as file:
                file.write(f"{shard.rows[0]}\n")
            once = Path(self.log + ".once")
            if shard.rows[0] == self.at:
                if self.trouble == "raise":
                    raise RuntimeError("killed")
                if self.trouble == "user":
                    raise UserError("models/rope-1: damaged")
                if self.trouble == "always":
                    os._exit(9)
                if self.trouble == "die" and not once.exists():
                    once.touch()
                    os._exit(9)
            return [10 * row for row in shard.rows]

    return Fake


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


def computed(log: Path) -> list[int]:
    return [int(line) for line in log.read_text().split()] if log.exists() else []


@pytest.mark.parametrize(
    "change",
    [
        {"model": replace(MODEL, sha256="ab")},
        {"model": replace(MODEL, yarn_factor=2.0)},
        {"kind": "windows"},
        {"source": "ruler/vt-128.jsonl"},
        {"source_sha256": "bc"},
        {"rows": (0, 2)},
        {"length": 65},
        {"max_new_tokens": 9},
        {"eos_ids": (1,)},
        {"eos_ids": (0, 1)},
    ],
)
def test_whatever_changes_the_result_changes_the_key(change: dict[str, Any]) -> None:
    assert replace(SHARD, **change).key != SHARD.key


def test_the_version_is_in_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    before = SHARD.key
    monkeypatch.setattr("stages.evaluate.shards.VERSION", 99)
    assert SHARD.key != before


def test_the_place_of_a_model_is_not_in_the_key() -> None:
    assert replace(SHARD, model=replace(MODEL, folder="/elsewhere")).key == SHARD.key


@pytest.mark.parametrize(("rows", "length", "sizes"), [(100, 64, [10] * 10), (7, 300, [2, 2, 3])])
def test_batches_hold_no_more_than_asked(rows: int, length: int, sizes: list[int]) -> None:
    found = list(batches(range(rows), length, 640 if length == 64 else 900))
    assert sorted(map(len, found)) == sizes
    assert [row for batch in found for row in batch] == list(range(rows))


def test_a_row_longer_than_a_batch_stands_alone() -> None:
    assert list(batches(range(2), 4096, 100)) == [(0,), (1,)]
    assert list(batches([], 64, 100)) == []


@pytest.mark.ray
def test_an_interrupted_run_goes_on(ray_session, log: Path, tmp_path: Path) -> None:
    wanted = shards(6)
    with pytest.raises(Exception, match="killed"):
        pool.finish(wanted, tmp_path / "shards", worker_class(), (str(log), "raise", 6))
    first = computed(log)
    assert first[:4] == [0, 2, 4, 6]
    stored = {path.name for path in (tmp_path / "shards" / pool.kind()).glob("*.json")}
    assert stored == {f"{shard.key}.json" for shard in wanted[:3]}
    log.unlink()
    results = pool.finish(wanted, tmp_path / "shards", worker_class(), (str(log), None, 0))
    # The killed driver's actor may still have finished what it had been handed.
    assert set(computed(log)) == {6, 8, 10}
    assert results == {shard: [10 * row for row in shard.rows] for shard in wanted}


@pytest.mark.ray
def test_a_lost_actor_is_replaced(ray_session, log: Path, tmp_path: Path) -> None:
    results = pool.finish(shards(4), tmp_path / "shards", worker_class(), (str(log), "die", 4))
    assert computed(log) == [0, 2, 4, 4, 6]
    assert list(results.values()) == [[0, 10], [20, 30], [40, 50], [60, 70]]


@pytest.mark.ray
def test_several_actors_share_the_shards(
    ray_session, log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REPO_EVAL_ACTORS", "2")
    results = pool.finish(shards(8), tmp_path / "shards", worker_class(), (str(log), None, 0))
    assert sorted(computed(log)) == list(range(0, 16, 2))
    assert [rows[0] for rows in results.values()] == list(range(0, 160, 20))


@pytest.mark.ray
@pytest.mark.parametrize("trouble", [None, "die"])
def test_more_actors_than_places_end(
    ray_session, log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trouble: str | None
) -> None:
    monkeypatch.setenv("REPO_EVAL_ACTORS", "5")  # of two places
    results = pool.finish(shards(8), tmp_path / "shards", worker_class(), (str(log), trouble, 4))
    assert set(computed(log)) == set(range(0, 16, 2))
    assert [rows[0] for rows in results.values()] == list(range(0, 160, 20))


@pytest.mark.ray
def test_a_shard_that_always_takes_its_actor_along_ends(
    ray_session, log: Path, tmp_path: Path
) -> None:
    with pytest.raises(Exception, match="died"):
        pool.finish(shards(3), tmp_path / "shards", worker_class(), (str(log), "always", 2))
    assert computed(log).count(2) == 4


@pytest.mark.ray
def test_two_evaluations_at_once_end(
    ray_session, log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REPO_EVAL_ACTORS", "3")
    with ThreadPoolExecutor(2) as both:
        jobs = [
            both.submit(
                pool.finish, shards(4), tmp_path / name, worker_class(), (str(log), None, 0)
            )
            for name in ("one", "two")
        ]
        one, two = (job.result(timeout=120) for job in jobs)
    assert one == two


@pytest.mark.ray
def test_a_users_mistake_stays_one_line(ray_session, log: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError) as error:
        pool.finish(shards(2), tmp_path / "shards", worker_class(), (str(log), "user", 0))
    assert str(error.value) == "models/rope-1: damaged"


def test_a_table_is_of_one_kind_of_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = shards(2)
    for shard, kind in zip(wanted, (pool.CPU, pool.CUDA), strict=True):
        write_json(tmp_path / kind / f"{shard.key}.json", [kind])
    asked = []

    def computes(missing, folder, worker, arguments) -> None:
        asked.extend((shard, folder.name) for shard in missing)
        in_this_process(missing, folder, lambda: SimpleNamespace(run=lambda shard: ["new"]), ())

    monkeypatch.setattr(pool, "_compute", computes)
    monkeypatch.setenv("REPO_USE_GPU", "1")
    assert list(pool.finish(wanted, tmp_path, worker_class(), ()).values()) == [
        ["new"],
        [pool.CUDA],
    ]
    assert asked == [(wanted[0], pool.CUDA)]


@pytest.mark.parametrize("kind", pool.KINDS)
def test_nothing_missing_starts_nothing(
    log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    for shard in shards(2):
        path = tmp_path / kind / f"{shard.key}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text("[1, 2]")
        assert read_json(path) == [1, 2]
    monkeypatch.setattr(pool, "session", None)  # a call would raise
    assert list(pool.finish(shards(2), tmp_path, worker_class(), ()).values()) == [[1, 2]] * 2


@pytest.mark.parametrize("value", ["0", "-1", "two", "1.5"])
def test_a_bad_worker_count_is_refused(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("REPO_EVAL_ACTORS", value)
    with pytest.raises(UserError, match=f"REPO_EVAL_ACTORS is '{value}'"):
        pool.actors(shards(2), 2, False)


def test_on_cpu_actors_follow_cores_work_and_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("REPO_EVAL_ACTORS", raising=False)
    monkeypatch.chdir(tmp_path)
    wanted = shards(8)
    folder = Path(wanted[0].model.folder)
    assert pool.actors(wanted, 4, False) == 1  # no weights, no work
    folder.mkdir(parents=True)
    with open(folder / "model.safetensors", "wb") as file:
        file.truncate(2 * 10**9)  # sparse
    tokens = sum(len(one.rows) * (one.length + one.max_new_tokens) for one in wanted)
    monkeypatch.setattr(pool, "WORK", tokens * 2e9 / 3.5)
    memory = SimpleNamespace(available=100e9)
    monkeypatch.setattr(pool.psutil, "virtual_memory", lambda: memory)
    assert pool.actors(wanted, 2, False) == 2
    assert pool.actors(wanted, 64, False) == 3  # what the work pays for
    memory.available = 12e9
    assert pool.actors(wanted, 64, False) == 2  # 5.5 GB each
    assert pool.actors(wanted, 8, True) == 1  # GPUs do it faster
    monkeypatch.setattr(pool, "GPU_WORK", tokens * 2e9 / 3.5)
    assert [pool.actors(wanted, gpus, True) for gpus in (0, 2, 8)] == [1, 2, 3]
    memory.available = 100e9
    by_vllm = [replace(one, engine="vllm") for one in wanted]
    assert pool.actors(by_vllm, 64, False) == 1  # which takes all cores
    assert pool.actors(by_vllm, 8, True) == 3
    monkeypatch.setenv("REPO_EVAL_ACTORS", "5")
    assert pool.actors(wanted, 2, False) == 5


def test_bf16_on_cpu_is_for_wide_models_that_are_stored_so(monkeypatch: pytest.MonkeyPatch) -> None:
    wide = {"dtype": "bfloat16", "hidden_size": 576}
    for fast in (True, False):
        monkeypatch.setattr(worker, "fast_bf16", lambda fast=fast: fast)
        assert worker.bf16_on_cpu(wide) is fast
    monkeypatch.setattr(worker, "fast_bf16", lambda: True)
    assert worker.bf16_on_cpu({"torch_dtype": "bfloat16", "hidden_size": 576})
    assert not worker.bf16_on_cpu({"dtype": "float32", "hidden_size": 576})
    assert not worker.bf16_on_cpu({**wide, "hidden_size": 96})
