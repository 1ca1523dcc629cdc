"""The order of a run, on the real graph's shape and on made-up ones."""

import itertools

import pytest

from pipeline.schedule import Schedule, simulate

ITEMS = ("rope-42", "nope-42", "repo-42")
UPSTREAM: dict[str, list[str]] = {
    "corpus": [],
    "tokenizer": ["corpus"],
    "base": ["tokenizer"],
    "benchmarks": ["tokenizer"],
    **{f"train@{item}": ["base"] for item in ITEMS},
    **{f"extend@{item}": [f"train@{item}"] for item in ITEMS},
    "evaluate_base": ["base", "benchmarks"],
    **{f"evaluate@{item}": [f"extend@{item}", "benchmarks", "evaluate_base"] for item in ITEMS},
    **{f"analyze@{item}": [f"train@{item}", "benchmarks"] for item in ITEMS},
    "report": [f"{stage}@{item}" for stage in ("evaluate", "analyze") for item in ITEMS],
}
HEAVY = [n for n in UPSTREAM if n.startswith(("base", "train", "evaluate", "analyze"))]
HOURS = {name: 40.0 if name.startswith("train") else 1.0 for name in UPSTREAM}


def times(slots: int = 2, at_once: int = 1) -> dict[str, tuple[float, float]]:
    return simulate(Schedule(list(UPSTREAM), UPSTREAM, HEAVY, slots, at_once), HOURS)


@pytest.mark.parametrize("slots", [1, 2, 3, 100])
def test_base_first_then_item_by_item(slots: int) -> None:
    found = times(slots)
    assert set(found) == set(UPSTREAM)
    assert found["train@rope-42"][0] >= found["evaluate_base"][1]
    for first, second in itertools.pairwise(ITEMS):
        for stage in ("extend", "evaluate", "analyze"):
            assert found[f"train@{second}"][0] >= found[f"{stage}@{first}"][1]
    for name, (start, _) in found.items():
        assert all(found[up][1] <= start for up in UPSTREAM[name])
    running = [sum(s <= start < e for s, e in found.values()) for start, _ in found.values()]
    assert max(running) <= slots
    assert found["evaluate@rope-42"][1] < 50  # one training, not three


def test_light_stages_run_beside_and_trainings_side_by_side_when_asked() -> None:
    assert times()["benchmarks"][0] == times()["base"][0]
    found = times(at_once=3)
    assert len({found[f"train@{item}"][0] for item in ITEMS}) == 1


def test_what_failed_holds_nobody_up() -> None:
    schedule = Schedule(list(UPSTREAM), UPSTREAM, HEAVY, 2)
    seen: list[str] = []
    while not schedule.done:
        started = schedule.start()
        assert started
        seen += started
        for name in started:
            schedule.ended(name)  # well or not: the schedule does not ask
    assert sorted(seen) == sorted(UPSTREAM)


def test_what_is_up_to_date_takes_no_slot() -> None:
    idle = [name for name in UPSTREAM if name.startswith(("corpus", "tokenizer", "base", "train"))]
    schedule = Schedule(list(UPSTREAM), UPSTREAM, HEAVY, 1, idle=idle)
    assert schedule.start() == ["corpus"]
    schedule.ended("corpus")
    assert schedule.start() == ["tokenizer"]
    schedule.ended("tokenizer")
    assert schedule.start() == ["base", "benchmarks"]
