"""The paired comparison: from records to figures to a sentence."""

from pathlib import Path

import pytest

from stages.common import paths
from stages.common.files import write_jsonl
from stages.report.inputs import Item
from stages.report.paired import comparisons, sentences

HALF = [0.0, 1.0] * 10


def put(variant: str, seed: int, task: str, scores: list[float]) -> Item:
    rows = [
        {"id": f"{task}-{i}", "suite": "ruler", "task": task, "length": 256, "score": score}
        for i, score in enumerate(scores)
    ]
    write_jsonl(paths.results(f"{variant}-{seed}") / "samples" / f"ruler-{task}-256.jsonl", rows)
    return Item(variant, seed, {}, {}, [])


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_the_same_samples_are_compared_and_told() -> None:
    items = []
    for task, repo, rope in (
        ("vt", [1.0] * 20, [0.0] * 20),
        ("cwe", HALF, HALF),
        ("fwe", [0.0] * 20, [1.0] * 20),
    ):
        items += [put("repo", 1, task, repo), put("rope", 1, task, rope)]
    found = comparisons(items[:2])
    assert found["ruler"]["vt"]["256"] == {
        "n": 20,
        "value": 100.0,
        "low": 100.0,
        "high": 100.0,
        "verdict": "better",
    }
    (sentence,) = sentences({"paired": found})
    assert "RePo is better than RoPE in vt at 256, worse in fwe at 256" in sentence
    assert sentence.endswith("inside noise in 1 of 3 cells.")


def test_seeds_are_averaged_sample_by_sample() -> None:
    items = [put("repo", seed, "vt", scores) for seed, scores in ((1, HALF), (2, HALF[::-1]))]
    items += [put("rope", seed, "vt", [0.5] * 20) for seed in (1, 2)]
    assert comparisons(items)["ruler"]["vt"]["256"]["high"] == 0.0


def test_without_records_nothing_is_said() -> None:
    assert comparisons([Item("repo", 1, {}, {}, []), Item("rope", 1, {}, {}, [])]) == {}
    assert list(sentences({"paired": {}})) == []
