"""Paired bootstrap with its verdict, and figures over lengths."""

import random

import pytest

from stages.evaluate.comparison import over_lengths, paired, paired_records, suite_means, summary


def test_equal_scores_are_inside_noise() -> None:
    found = paired([0.0, 1.0] * 20, [0.0, 1.0] * 20)
    assert (found.value, found.low, found.high, found.verdict) == (0.0, 0.0, 0.0, "inside noise")


def test_a_constant_difference_is_certain() -> None:
    found = paired([0.6, 1.0, 0.1], [0.5, 0.9, 0.0])
    assert found.value == pytest.approx(10.0)
    assert found.verdict == "better"
    assert paired([0.5, 0.9], [0.6, 1.0]).verdict == "worse"


def test_the_interval_is_that_of_the_differences() -> None:
    rng = random.Random(1)
    one = [float(rng.random() < 0.5) for _ in range(400)]
    other = [value if rng.random() < 0.9 else 1 - value for value in one]
    found = paired(one, other)
    differences = [100 * (a - b) for a, b in zip(one, other, strict=True)]
    mean = sum(differences) / 400
    error = (sum((d - mean) ** 2 for d in differences) / 399 / 400) ** 0.5
    assert found.low == pytest.approx(mean - 1.96 * error, abs=0.3 * error)
    assert found.high == pytest.approx(mean + 1.96 * error, abs=0.3 * error)
    assert paired(one, other) == found


def test_small_differences_of_few_samples_are_noise() -> None:
    assert paired([1.0, 0.0, 1.0, 1.0], [1.0, 0.0, 0.0, 1.0]).verdict == "inside noise"


def test_only_the_same_samples_are_compared() -> None:
    one = [{"id": "a", "score": 1.0}, {"id": "b", "score": 0.0}]
    assert paired_records(one, list(reversed(one))).value == 0.0
    with pytest.raises(ValueError, match="other samples"):
        paired_records(one, one[:1])
    with pytest.raises(ValueError, match="the same samples are needed"):
        paired([1.0], [])


def test_over_lengths() -> None:
    found = over_lengths({4096: 90.0, 8192: 86.0, 16384: 30.0})
    assert found["wavg_inc"] == pytest.approx((90 + 2 * 86 + 3 * 30) / 6)
    assert found["wavg_dec"] == pytest.approx((3 * 90 + 2 * 86 + 30) / 6)
    assert found["effective_length"] == 8192
    assert found["retention"] == {
        "4096": 1.0,
        "8192": pytest.approx(86 / 90, abs=1e-6),
        "16384": pytest.approx(1 / 3, abs=1e-6),
    }
    nothing = over_lengths({4096: 0.0, 8192: 0.0})
    assert nothing["effective_length"] is None
    assert nothing["retention"] == {"4096": None, "8192": None}


def test_means_are_over_lengths_that_all_tasks_have() -> None:
    cell = {"score": 50.0, "stderr": 3.0}
    cells = {"vt": {"512": cell, "256": cell}, "cwe": {"512": {"score": 100.0, "stderr": 4.0}}}
    assert suite_means(cells) == {512: {"score": 75.0, "stderr": 2.5, "tasks": 2}}


def test_a_suite_in_one_place() -> None:
    cells = {
        "a": {"64": {"score": 100.0, "stderr": 0.0, "n": 100}, "128": {"score": 50, "stderr": 5}},
        "b": {"64": {"score": 80.0, "stderr": 4.0, "n": 100}},
    }
    found = summary(cells)
    assert list(found["mean"]) == ["64"]
    assert found["mean"]["64"]["score"] == 90.0
    # Samples that all scored 1 do not make a mean certain.
    assert found["mean"]["64"]["stderr"] > 4.0 / 2
    assert found["wavg_inc"] == found["wavg_dec"] == 90.0
    assert summary({"a": {"64": cells["b"]["64"]}, "b": {"128": cells["b"]["64"]}}) == {"mean": {}}
