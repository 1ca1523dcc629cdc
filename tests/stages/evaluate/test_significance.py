"""The one rule: exact tests by hand, intervals, Holm, seeds; null tables and power by simulation."""

import itertools
from statistics import fmean, stdev

import numpy as np
import pytest

from stages.evaluate.significance import (
    BETTER,
    TOO_FEW,
    WORSE,
    Difference,
    by_chance,
    compare,
    corrected,
    difference,
    sign_flips,
    t_quantile,
    t_tails,
)
from stages.evaluate.verdicts import lines, sentences


def run(scores) -> dict[str, float]:
    return {f"s{i}": float(score) for i, score in enumerate(scores)}


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("kind", ["graded", "right or wrong"])
def test_the_exact_p_counts_all_signs(seed: int, kind: str) -> None:
    rng = np.random.default_rng(seed)
    d = rng.normal(size=11).round(2) if kind == "graded" else rng.choice([-1.0, 0.0, 1.0], 13)
    some = d[d != 0]
    turned = [
        abs(float(np.dot(signs, some))) >= abs(d.sum()) - 1e-9
        for signs in itertools.product((1, -1), repeat=len(some))
    ]
    assert sign_flips(d) == pytest.approx(fmean(turned))


@pytest.mark.parametrize(
    ("freedom", "t"), [(1, 12.7062), (2, 4.3027), (3, 3.1824), (10, 2.2281), (100, 1.984)]
)
def test_student_s_t_is_that_of_the_tables(freedom: int, t: float) -> None:
    assert t_quantile(freedom) == pytest.approx(t, abs=1e-4)
    assert t_tails(t, freedom) == pytest.approx(0.05, abs=1e-5)


def test_nothing_is_said_below_ten_samples() -> None:
    found = compare({("a", "t", "1"): [run([1] * 9)]}, {("a", "t", "1"): [run([0] * 9)]})
    (one,) = found.cells.values()
    assert (one.value, one.low, one.p, one.mark) == (100.0, None, None, TOO_FEW)
    assert difference([([run([1])], [{"other": 1.0}])]) is None


def test_a_few_clear_samples_are_enough() -> None:
    found = compare({("a", "t", "1"): [run([1] * 10)]}, {("a", "t", "1"): [run([0] * 10)]})
    (one,) = found.cells.values()
    assert one.p == pytest.approx(2 / 2**10)
    assert one.mark == BETTER


def test_samples_are_paired_by_name_in_any_order() -> None:
    one = run([i % 2 for i in range(40)])
    found = difference([([one], [dict(reversed(one.items()))])])
    assert found is not None
    assert (found.value, found.p) == (0.0, 1.0)


def test_the_interval_of_a_cell_is_student_s() -> None:
    rng = np.random.default_rng(1)
    one, other = rng.random(200), rng.random(200)
    found = difference([([run(one)], [run(other)])])
    d = 100 * (one - other)
    assert found is not None
    assert found.high is not None
    assert found.high - found.value == pytest.approx(
        t_quantile(199) * d.std(ddof=1) / 200**0.5, abs=1e-5
    )


def test_the_mean_over_tasks_is_stratified() -> None:
    rng = np.random.default_rng(2)
    easy, hard = rng.random(50), rng.random(400)  # tasks weigh alike, whatever their samples
    pairs = [([run(easy)], [run(easy - 0.1)]), ([run(hard)], [run(rng.random(400))])]
    found = difference(pairs)
    alone = difference(pairs[1:])
    assert found is not None
    assert alone is not None
    assert found.value == pytest.approx((10 + alone.value) / 2, abs=1e-5)
    assert found.high is not None
    assert alone.high is not None
    assert found.high - found.value == pytest.approx((alone.high - alone.value) / 2, rel=0.02)


def test_from_three_seeds_on_the_runs_are_the_sample() -> None:
    base = np.full(50, 0.5)
    gains = (0.02, 0.05, 0.11)
    pair = ([run(base + gain) for gain in gains], [run(base) for _ in gains])
    found = difference([pair])
    assert found is not None
    assert found.high is not None
    error = stdev([100 * gain for gain in gains]) / 3**0.5
    assert found.high - found.value == pytest.approx(4.3027 * error, rel=1e-4)
    two = difference([(pair[0][:2], pair[1][:2])])
    assert two is not None
    assert two.p is not None
    assert two.p < 1e-6  # of these runs: no sample speaks against it
    with pytest.raises(ValueError, match="as many seeds"):
        difference([(pair[0], pair[1][:2])])


def test_no_interval_is_wider_than_two_scores_can_be_apart() -> None:
    """Three seeds that disagree: Student's t alone would reach beyond 100 points."""
    half = np.full(50, 0.5)
    ours = [run(half + gain) for gain in (0.5, 0.4, -0.5)]
    found = difference([(ours, [run(half)] * 3)])
    assert found is not None and found.low is not None
    assert (found.low, found.high) == (-100.0, 100.0)


def test_holm_s_correction() -> None:
    table = {
        name: Difference(50, 1, 1, 1.0, 0.0, 2.0, p)
        for name, p in (("a", 0.01), ("b", 0.02), ("c", 0.03), ("d", None), ("e", 0.9))
    }
    found = {name: one.p_holm for name, one in corrected(table).items()}
    assert found == {
        "a": pytest.approx(0.04),
        "b": pytest.approx(0.06),
        "c": pytest.approx(0.06),
        "d": None,
        "e": pytest.approx(0.9),
    }
    assert by_chance(table.values()) == pytest.approx(0.2)


def _tables(count: int, samples: int, effect: float):
    """RULER's 39 cells of two models: every third task scores in quarters, the others 0 or 1."""
    rng = np.random.default_rng(samples)

    def scores(task: int, chance: np.ndarray) -> dict[str, float]:
        parts = 4 if task % 3 == 0 else 1
        return run((rng.random((parts, samples)) < np.clip(chance, 0, 1)).mean(axis=0))

    for _ in range(count):
        one, other = {}, {}
        for task, length in itertools.product(range(13), ("4096", "8192", "16384")):
            chance = rng.uniform(0.1, 0.95, samples)
            cell = ("ruler", f"t{task}", length)
            one[cell] = [scores(task, chance + effect)]
            other[cell] = [scores(task, chance)]
        yield compare(one, other)


@pytest.mark.parametrize("samples", [12, 100])
def test_a_null_table_has_no_mark_in_92_of_100(samples: int) -> None:
    marked = [
        any(one.mark in (BETTER, WORSE) for one in found.cells.values())
        for found in _tables(300, samples, 0.0)
    ]
    assert fmean(marked) <= 0.075


def test_ten_points_at_a_hundred_samples() -> None:
    """The mean over 13 tasks always shows them; one cell of 39 by itself, one time in five."""
    found = list(_tables(20, 100, 0.1))
    assert all(one.mark == BETTER for table in found for one in table.means.values())
    cells = [one for table in found for one in table.cells.values()]
    assert 0.15 < fmean(one.mark == BETTER for one in cells) < 0.35
    assert not any(one.mark == WORSE for one in cells)


def test_words_name_what_chance_gives_and_of_what_they_are() -> None:
    cells = {("ruler", task, "256"): [run([1] * 20)] for task in ("vt", "cwe")}
    other = {**cells, ("ruler", "vt", "256"): [run([0] * 20)]}
    found = compare(cells, other)
    said = " ".join(sentences(found, "RePo", "RoPE"))
    assert "mean over tasks" in said
    assert "+50.0 [+50.0, +50.0] at 256 tokens (ruler, 2 tasks: better)" in said
    assert "RePo is better than RoPE in vt (256), worse in no cell" in said
    assert "equal in 0, and it cannot be told in 1 of 2 cells" in said
    assert "chance alone would mark about 0.1 cells" in said
    assert "of this training run" in said
    assert [line.split()[-1] for line in lines(found)] == ["better", "tell", "better"]
    three = {cell: runs * 3 for cell, runs in cells.items()}
    assert "over 3 pairs of training runs (Student's t)" in " ".join(
        sentences(compare(three, three), "RePo", "RoPE")
    )
