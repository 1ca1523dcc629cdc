"""``repo-pipeline sample``: the whole sample and every answer, and mistakes that name what there is."""

import pytest

from stages.report.sample import main
from tests.stages.command import done
from tests.stages.report.fabricated_results import write_run


@pytest.fixture
def run_here(folder):
    write_run(("rope", "repo"), (1,))


def test_a_sample_is_shown_whole_with_every_answer(run_here, capsys):
    done(main, ["niah_multikey_1-256-0007"])
    said = capsys.readouterr().out
    assert "wanted: 1007" in said
    assert said.count("straw ") == 150
    assert "What is the <b>number</b>? The number is" in said
    assert "rope-1: score" in said and "' 1007, said repo-1'" in said
    done(main, ["niah_multikey_1-256-0007", "--variant", "repo", "--tokens"])
    said = capsys.readouterr().out
    assert "rope-1: score" not in said
    assert "needle, token ranges: [[4, 6]]" in said


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("niah_multikey_2-256-0007", "niah_multikey_1-256-0000"),
        ("nonsense", "an id is TASK-LENGTH-NUMBER"),
        ("vt-256-0100", "has 100 samples, numbered from 0"),
        ("vt-333-0001", "vt-"),
    ],
)
def test_a_wrong_id_is_one_line(run_here, capsys, name, told):
    with pytest.raises(SystemExit) as end:
        main([name])
    assert end.value.code == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and told in said


def test_without_the_data_the_stage_is_named(folder, capsys):
    with pytest.raises(SystemExit):
        main(["vt-256-0001"])
    assert "run the stage benchmarks, or dvc pull" in capsys.readouterr().err
