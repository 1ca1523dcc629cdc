"""The metrics equal the inputs for one seed, and are worked out by hand for two."""

import math
from pathlib import Path

import pytest

from stages.common.files import read_json, write_json
from stages.report.inputs import read_items
from stages.report.metrics import collect, difference
from tests.stages.report.fabricated_results import LENGTHS, TASKS, write_run

CELL = ("ruler", "niah_multikey_1", "256")


def _set_cell(item: str, **values: object) -> None:
    file = Path(f"results/{item}/metrics.json")
    results = read_json(file)
    suite, task, length = CELL
    results["cells"][suite][task][length].update(values)
    write_json(file, results)


def _cell(metrics: dict, variant: str) -> dict:
    suite, task, length = CELL
    return metrics["scores"][variant][suite][task][length]


def test_one_seed_gives_the_inputs_back(folder):
    write_run(("rope", "repo"), (7,))
    metrics = collect(read_items(("rope", "repo"), (7,)))
    for variant in ("rope", "repo"):
        results = read_json(Path(f"results/{variant}-7/metrics.json"))
        for suite, tasks in TASKS.items():
            for task in tasks:
                for length in map(str, LENGTHS):
                    given = results["cells"][suite][task][length]
                    found = metrics["scores"][variant][suite][task][length]
                    assert {key: found[key] for key in given} == given
                    assert found["spread"] is None
                    assert found["noise"] == given["stderr"]
        for source, lengths in results["validation"].items():
            for length, entry in lengths.items():
                found = metrics["validation"][variant][source][length]
                assert {key: found[key] for key in entry} == entry
    analysis = read_json(Path("analysis/repo-7/analysis.json"))
    mass, found = analysis["attention_mass"], metrics["attention_mass"]["repo"]
    assert found.pop("stderr") == mass.pop("stderr")
    assert found == pytest.approx(mass, abs=1e-8)
    assert metrics["patterns"] == {"repo": analysis["patterns"]}
    assert metrics["heads"]["repo"]["collapsed"] == 1
    head_ranges = [h["max"] - h["min"] for h in analysis["positions"]["noisy"]["2"]["heads"]]
    layer = metrics["positions"]["repo"]["noisy"]["2"]
    assert layer["range_max"] == pytest.approx(max(head_ranges), abs=1e-6)
    assert layer["range_mean"] == pytest.approx(sum(head_ranges) / 4, abs=1e-6)


def test_two_seeds_give_mean_and_spread(folder):
    write_run(("rope",), (1, 2))
    _set_cell("rope-1", score=40.0, stderr=4.0, above_shortcut=True)
    _set_cell("rope-2", score=50.0, stderr=5.0, above_shortcut=True)
    cell = _cell(collect(read_items(("rope",), (1, 2))), "rope")
    assert (cell["score"], cell["stderr"], cell["n"]) == (45.0, 4.5, 200)
    assert cell["spread"] == pytest.approx(math.sqrt(50), abs=1e-6)
    assert cell["noise"] == pytest.approx(math.sqrt(4.5**2 + 50 / 2), abs=1e-6)
    assert cell["above_shortcut"]  # 20 over the shortcut of 25, noise 6.7


def test_two_seeds_far_apart_are_not_above_the_shortcut(folder):
    write_run(("rope",), (1, 2))
    _set_cell("rope-1", score=30.0, stderr=4.0, above_shortcut=False)
    _set_cell("rope-2", score=90.0, stderr=3.0, above_shortcut=True)
    assert not _cell(collect(read_items(("rope",), (1, 2))), "rope")["above_shortcut"]


def test_samples_that_all_score_alike_do_not_claim_certainty(folder):
    write_run(("rope", "repo"), (1,))
    _set_cell("rope-1", score=0.0, stderr=0.0)
    _set_cell("repo-1", score=2.0, stderr=1.4)
    metrics = collect(read_items(("rope", "repo"), (1,)))
    assert _cell(metrics, "rope")["stderr"] == pytest.approx(100 * math.sqrt(101 / 102**2 / 100))
    suite, task, length = CELL
    assert metrics["difference"][suite][task][length]["noise"] == pytest.approx(1.7, abs=0.05)


def test_a_single_sample_has_no_error_and_no_claim(folder):
    write_run(("rope", "repo"), (1,))
    for item in ("rope-1", "repo-1"):
        _set_cell(item, n=1, stderr=None, above_shortcut=None)
    metrics = collect(read_items(("rope", "repo"), (1,)))
    assert _cell(metrics, "rope")["noise"] is None
    suite, task, length = CELL
    assert metrics["difference"][suite][task][length]["beyond_noise"] is False


@pytest.mark.parametrize(("score", "beyond"), [(50.0, False), (55.0, True), (25.0, True)])
def test_a_difference_is_judged_against_its_noise(score, beyond):
    cells = {"ruler": {"vt": {"128": {"score": score, "noise": 3.0}}}}
    other = {"ruler": {"vt": {"128": {"score": 40.0, "noise": 4.0}}}}  # noise of the difference: 5
    found = difference({"repo": cells, "rope": other}, "repo", "rope")["ruler"]["vt"]["128"]
    assert found == {"value": score - 40, "noise": 5.0, "beyond_noise": beyond}


def test_without_repo_there_is_no_difference(folder):
    write_run(("rope", "nope"), (1,))
    metrics = collect(read_items(("rope", "nope"), (1,)))
    assert metrics["difference"] == {}
    assert metrics["positions"] == metrics["patterns"] == metrics["heads"] == {}


@pytest.mark.parametrize(
    ("value", "stderr", "below"),
    [(-0.1, 0.01, True), (-0.1, 0.06, False), (0.1, 0.01, False), (-0.1, None, None)],
)
def test_a_loss_is_below_the_base_by_the_paired_difference(folder, value, stderr, below):
    write_run(("nope",), (1,))
    file = Path("results/nope-1/metrics.json")
    results = read_json(file)
    for entry in results["base"]["validation"]["python"].values():
        entry["difference"] = {"n": 40, "value": value, "stderr": stderr}
    write_json(file, results)
    lengths = collect(read_items(("nope",), (1,)))["validation"]["nope"]["python"]
    assert [lengths[str(n)]["below_base"] for n in LENGTHS] == [below] * len(LENGTHS)
    assert lengths["256"]["difference"] == {"n": 40, "value": value, "noise": stderr}


def test_a_suite_s_means_over_two_seeds_by_hand(folder):
    write_run(("rope",), (1, 2))
    tasks = len(TASKS["ruler"])
    for item, scores in (("rope-1", (80.0, 40.0)), ("rope-2", (100.0, 60.0))):
        file = Path(f"results/{item}/metrics.json")
        results = read_json(file)
        for cells in results["cells"]["ruler"].values():
            for length, score in zip(map(str, LENGTHS), scores, strict=False):
                cells[length].update(score=score, stderr=3.0)
            for length in map(str, LENGTHS[2:]):
                del cells[length]
        write_json(file, results)
    found = collect(read_items(("rope",), (1, 2)))["suites"]["rope"]["ruler"]
    short, long = map(str, LENGTHS[:2])
    assert found["mean"][short] == {
        "score": 90.0,
        "stderr": pytest.approx(3 / math.sqrt(tasks)),
        "spread": pytest.approx(math.sqrt(200)),
        "tasks": tasks,
    }
    assert found["mean"][long]["score"] == 50.0
    assert found["wavg_inc"] == pytest.approx((90 + 2 * 50) / 3)
    assert found["wavg_dec"] == pytest.approx((2 * 90 + 50) / 3)
    assert found["effective_length"] == LENGTHS[0]
    assert found["retention"] == {short: 1.0, long: pytest.approx(5 / 9)}
