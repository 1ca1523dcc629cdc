"""Means, standard errors and what stands in a cell."""

from statistics import mean, stdev

import pytest

from stages.evaluate.statistics import cell, standard_error


def record(score: float, shortcut: float | None = 0.25, **changed) -> dict:
    return {
        "score": score,
        "shortcut": shortcut,
        "prompt_tokens": 90,
        "length": 100,
        "prediction": "x",
        "truncated": False,
        "stopped": False,
        "ended_by_eos": True,
    } | changed


def test_standard_error_of_the_mean() -> None:
    values = [0.0, 1.0, 1.0, 0.5]
    assert standard_error(values) == pytest.approx(stdev(values) / 2)
    assert standard_error([0.5, 0.5]) == 0.0
    assert standard_error([0.5]) is None


def test_a_proportion_has_the_binomial_error() -> None:
    records = [record(float(i < 30)) for i in range(100)]
    found = cell(records, budget=5, yarn_factor=1.0)
    assert found["score"] == 30.0
    assert found["stderr"] == pytest.approx(100 * (0.3 * 0.7 / 99) ** 0.5, abs=1e-6)
    assert found["n"] == 100
    assert found["fill"] == 0.95


@pytest.mark.parametrize(
    ("metric", "score", "outputs", "error"),
    [
        ("string_match_part", 0.0, ["a", "b"], 100 * (101 / 102**2 / 100) ** 0.5),
        ("string_match_all", 1.0, ["a"], 100 * (101 / 102**2 / 100) ** 0.5),
        ("string_match_all", 0.0, ["a", "b"], 0.0),
        ("string_match_part", 0.5, ["a"], 0.0),
        ("qa_f1", 0.0, ["a"], 0.0),
    ],
)
def test_laplace_is_for_right_and_wrong_only(metric, score, outputs, error) -> None:
    records = [record(score, outputs=outputs) for _ in range(100)]
    assert cell(records, 5, 1.0, metric)["stderr"] == pytest.approx(error, abs=1e-6)


def test_shortcuts_are_averaged() -> None:
    records = [record(0.0, shortcut=s) for s in (0.1, 0.2, 0.6)]
    assert cell(records, 5, 1.0)["shortcut"] == pytest.approx(100 * mean([0.1, 0.2, 0.6]))


def test_odd_outputs_are_counted() -> None:
    records = [
        record(0.0, prediction=" \n"),
        record(0.0, truncated=True, prediction=""),
        record(0.0, ended_by_eos=False),
    ]
    found = cell(records, 5, 1.0)
    assert (found["empty"], found["truncated"], found["unended"]) == (2, 1, 1)
