"""The metrics equal the inputs for one seed, and are worked out by hand for two."""

import math
from pathlib import Path

import pytest

from stages.common.files import read_json, write_json
from stages.report.inputs import read_items
from stages.report.metrics import collect
from tests.stages.report.fabricated_results import LENGTHS, TASKS, write_records, write_run

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
    metrics = collect(read_items(("rope", "repo"), (7,)), "rope")
    cost = metrics["verdict"]["cards"][3]  # nothing was counted: no shape of the base is known
    assert (cost["title"], cost["number"]) == ("Cost: layers that learn positions", "2 of 3 layers")
    for variant in ("rope", "repo"):
        results = read_json(Path(f"results/{variant}-7/metrics.json"))
        for suite, tasks in TASKS.items():
            for task in tasks:
                for length in map(str, LENGTHS):
                    given = results["cells"][suite][task][length]
                    found = metrics["scores"][variant][suite][task][length]
                    assert {key: found[key] for key in given} == given
                    assert found["spread"] is None
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
    _set_cell("rope-1", score=40.0, stderr=4.0)
    _set_cell("rope-2", score=50.0, stderr=5.0)
    cell = _cell(collect(read_items(("rope",), (1, 2)), "rope"), "rope")
    assert (cell["score"], cell["stderr"], cell["n"]) == (45.0, 4.5, 200)
    assert cell["spread"] == pytest.approx(math.sqrt(50), abs=1e-6)


@pytest.mark.parametrize(("score", "above"), [(25.0, False), (33.0, False), (60.0, True)])
def test_above_the_shortcut_is_decided_by_samples(folder, score, above):
    write_run(("rope",), (1,))
    suite, task, length = CELL
    write_records("rope-1", suite, task, int(length), score, 25.0)
    assert _cell(collect(read_items(("rope",), (1,)), "rope"), "rope")["above_shortcut"] is above


def test_seeds_far_apart_are_not_above_the_shortcut(folder):
    write_run(("rope",), (1, 2, 3))
    suite, task, length = CELL
    for seed, score in ((1, 20.0), (2, 90.0), (3, 30.0)):
        write_records(f"rope-{seed}", suite, task, int(length), score, 25.0)
    assert (
        _cell(collect(read_items(("rope",), (1, 2, 3)), "rope"), "rope")["above_shortcut"] is False
    )


def test_too_few_samples_are_no_claim(folder):
    write_run(("rope", "repo"), (1,))
    suite, task, length = CELL
    for item, score in (("rope-1", 0.0), ("repo-1", 100.0)):
        write_records(item, suite, task, int(length), score, 25.0, n=9)
    metrics = collect(read_items(("rope", "repo"), (1,)), "rope")
    assert _cell(metrics, "repo")["above_shortcut"] is None
    found = metrics["comparison"]["cells"][suite][task][length]
    assert (found["value"], found["low"], found["verdict"]) == (100.0, None, "cannot tell")


def test_the_reference_alone_has_no_difference(folder):
    write_run(("rope",), (1,))
    metrics = collect(read_items(("rope",), (1,)), "rope")
    assert metrics["comparisons"] == {}
    assert metrics["comparison"] == {"cells": {}, "means": {}, "said": [], "lines": []}
    assert metrics["positions"] == metrics["patterns"] == metrics["heads"] == {}


def test_every_variant_is_compared_with_the_reference_of_the_params(folder):
    write_run(("rope", "mine", "repo"), (1,))
    items = read_items(("rope", "mine", "repo"), (1,))
    metrics = collect(items, "mine")
    assert list(metrics["comparisons"]) == ["rope", "repo"]
    assert metrics["focus"] == "repo"
    assert metrics["comparison"] == metrics["comparisons"]["repo"]
    assert all("mine" in said for said in metrics["comparison"]["said"][:1])
    assert collect(items, "repo")["focus"] == "mine"


def test_without_repo_positions_are_not_analysed(folder):
    write_run(("rope", "nope"), (1,))
    metrics = collect(read_items(("rope", "nope"), (1,)), "rope")
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
    lengths = collect(read_items(("nope",), (1,)), "rope")["validation"]["nope"]["python"]
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
    found = collect(read_items(("rope",), (1, 2)), "rope")["suites"]["rope"]["ruler"]
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
    assert "effective_length" not in found  # these are not all of RULER's tasks
    assert found["retention"] == {short: 1.0, long: pytest.approx(5 / 9)}


def test_the_base_s_figures_are_treated_like_a_variant_s(folder):
    """Its suite means stand beside theirs; a difference is a variant's, not the base's."""
    write_run(("rope",), (1,))
    given = read_json(Path("results/rope-1/metrics.json"))["base"]
    base = collect(read_items(("rope",), (1,)), "rope")["base"]
    suite, task, length = CELL
    cells = given["cells"][suite]
    assert base["scores"][suite][task][length]["stderr"] == cells[task][length]["stderr"]
    mean = base["suites"][suite]["mean"][length]
    wanted = sum(lengths[length]["score"] for lengths in cells.values()) / len(cells)
    assert mean["score"] == pytest.approx(wanted, abs=1e-6)
    assert mean["spread"] is None
    assert "difference" not in base["validation"]["python"]["128"]
