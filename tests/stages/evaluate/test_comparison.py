"""Figures over lengths."""

import pytest

from stages.evaluate.comparison import effective_length, over_lengths, suite_means, summary


def test_over_lengths() -> None:
    found = over_lengths({4096: 90.0, 8192: 86.0, 16384: 30.0})
    assert found["wavg_inc"] == pytest.approx((90 + 2 * 86 + 3 * 30) / 6)
    assert found["wavg_dec"] == pytest.approx((3 * 90 + 2 * 86 + 30) / 6)
    assert found["retention"] == {
        "4096": 1.0,
        "8192": pytest.approx(86 / 90, abs=1e-6),
        "16384": pytest.approx(1 / 3, abs=1e-6),
    }
    assert over_lengths({4096: 0.0, 8192: 0.0})["retention"] == {"4096": None, "8192": None}


@pytest.mark.parametrize(
    ("scores", "length"),
    [((90, 86, 30), 8192), ((90, 50, 90), 4096), ((80, 90, 90), None), ((86, 86, 86), 16384)],
)
def test_the_effective_length_stops_at_the_first_failure(scores, length) -> None:
    assert effective_length(dict(zip((4096, 8192, 16384), scores, strict=True))) == length


def test_means_are_over_the_tasks_that_exist_at_a_length() -> None:
    cell = {"score": 50.0, "stderr": 3.0}
    cells = {"vt": {"512": cell, "256": cell}, "cwe": {"512": {"score": 100.0, "stderr": 4.0}}}
    assert suite_means(cells) == {
        256: {"score": 50.0, "stderr": 3.0, "tasks": 1},
        512: {"score": 75.0, "stderr": 2.5, "tasks": 2},
    }


def test_figures_over_lengths_are_of_the_tasks_that_all_lengths_have() -> None:
    cell = {"score": 90.0, "stderr": 3.0}
    cells = {"a": {"64": cell, "128": {"score": 45.0, "stderr": 1.0}}, "b": {"64": cell}}
    found = summary(cells)
    assert (found["common_tasks"], found["retention"]) == (1, {"64": 1.0, "128": 0.5})
    assert "effective_length" not in found
    apart = summary({"a": {"64": cell}, "b": {"128": cell}})
    assert set(apart) == {"mean"}


def test_a_task_more_than_the_official_ones_leaves_the_effective_length() -> None:
    good, bad = {"score": 90.0, "stderr": 1.0}, {"score": 0.0, "stderr": 1.0}
    cells = {"a": {"64": good, "128": good}, "b": {"64": good, "128": good}}
    own = {"64": bad, "128": bad}
    assert summary({**cells, "own": own}, ("a", "b"))["effective_length"] == 128
    assert "effective_length" not in summary({"a": cells["a"]}, ("a", "b"))
