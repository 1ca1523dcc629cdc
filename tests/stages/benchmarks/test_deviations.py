"""docs/ruler.md holds the table of deviations as the code has it, and what it says is so."""

from pathlib import Path

import pytest

from stages.benchmarks import deviations, ruler
from stages.common.errors import UserError
from tests.stages.benchmarks.conftest import MakeCell

PAGE = Path(__file__).parents[3] / "docs" / "ruler.md"


def test_the_page_has_the_table() -> None:
    assert deviations.table() in PAGE.read_text(encoding="utf-8"), (
        "run `python -m stages.benchmarks.deviations` and put its table into docs/ruler.md"
    )


@pytest.mark.parametrize("task", ["niah_single_1", "qa_1"])
def test_every_sample_has_places_of_its_own(make_cell: MakeCell, task: str) -> None:
    rows = list(ruler.samples(make_cell(task, 900, samples=12)))
    places = {row["needle_span"][0][0] // 40 for row in rows}
    assert len(places) > 4


def test_no_two_needles_share_a_value(make_cell: MakeCell) -> None:
    for row in ruler.samples(make_cell("niah_multivalue", 400, value_digits=2)):
        assert len(set(row["outputs"])) == 4


def test_too_short_is_refused(make_cell: MakeCell) -> None:
    with pytest.raises(UserError, match="too short for niah_multikey_3"):
        list(ruler.samples(make_cell("niah_multikey_3", 40)))
