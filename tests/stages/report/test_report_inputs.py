"""What the report reads: everything or a line that names what is missing."""

from pathlib import Path

import pytest

from stages.common.errors import UserError
from stages.common.files import read_json, write_json
from stages.report.inputs import Point, read_curve, read_items
from tests.stages.report.fabricated_results import write_run


@pytest.fixture(autouse=True)
def _results(folder):
    write_run(("rope", "repo"), (1, 2))


def test_items_come_in_the_order_of_the_params():
    items = read_items(("repo", "rope"), (2, 1))
    assert [f"{item.variant}-{item.seed}" for item in items] == [
        "repo-2",
        "repo-1",
        "rope-2",
        "rope-1",
    ]


@pytest.mark.parametrize(
    ("file", "stage"),
    [
        ("results/repo-2/metrics.json", "evaluate@repo-2"),
        ("results/repo-2/loss.csv", "train@repo-2"),
        ("analysis/repo-2/analysis.json", "analyze@repo-2"),
    ],
)
def test_a_missing_file_is_named_with_its_stage(file, stage):
    Path(file).unlink()
    with pytest.raises(UserError, match=f"^{file}: .*{stage}$"):
        read_items(("rope", "repo"), (1, 2))


def test_scores_of_other_samples_are_refused():
    file = Path("results/repo-2/metrics.json")
    results = read_json(file)
    results["cells"]["ruler"]["vt"]["256"]["shortcut"] = 20.0
    write_json(file, results)
    with pytest.raises(UserError, match=r"repo-2/metrics\.json: other samples than .*rope-1"):
        read_items(("rope", "repo"), (1, 2))


def test_a_curve_is_read_by_column_names():
    file = Path("curve.csv")
    file.write_text("loss,lr,tokens,step\n2.5,0.1,64,1\n")
    assert read_curve(file) == [Point(1, 64, 2.5)]


@pytest.mark.parametrize("text", ["", "step,tokens\n1,2\n", "step,tokens,loss\n1,2\n"])
def test_a_file_that_is_no_curve_is_named(text):
    file = Path("curve.csv")
    file.write_text(text)
    with pytest.raises(UserError, match=r"^curve\.csv: .*loss curve"):
        read_curve(file)
