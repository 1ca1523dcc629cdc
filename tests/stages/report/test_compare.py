"""``repo-pipeline report --compare``: pairs what both were asked, and nothing else."""

from pathlib import Path

import pytest

from stages.common.files import read_jsonl, write_jsonl
from stages.report.compare import main
from stages.report.stage import run
from tests.stages.command import done
from tests.stages.report.fabricated_results import job, params, write_run
from tests.stages.report.test_report_page import Page

VARIANTS = ("rope", "repo")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``a`` and ``b``: equal, but that b's RePo has every answer of vt at 128 wrong."""
    made = tmp_path_factory.mktemp("runs")
    for name in ("a", "b"):
        (made / name).mkdir()
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(made / name)
            write_run(VARIANTS, (42,))
            if name == "b":
                file = Path("results/repo-42/samples/ruler-vt-128.jsonl")
                write_jsonl(file, [{**row, "score": 0.0} for row in read_jsonl(file)])
            run(job(params(VARIANTS, (42,))))
    return made


def test_differences_are_those_of_the_records(runs, capsys, tmp_path):
    out = tmp_path / "both.html"
    done(main, ["--compare", str(runs / "a"), str(runs / "b"), "--out", str(out)])
    assert str(out) in capsys.readouterr().out
    page = Page(out.read_text())
    assert page.open == []
    rows = [row for row in page.table("RePo: A minus B") if "vt" in row]
    records = list(read_jsonl(runs / "a/results/repo-42/samples/ruler-vt-128.jsonl"))
    mean = sum(row["score"] for row in records)
    assert rows[0][1:3] == ["100", rows[0][2]]
    assert rows[0][2].startswith(f"+{mean:.1f} [")
    assert rows[0][3] == "better"
    assert all(row[-2].startswith("+0.0") for row in page.table("RoPE: A minus B")[1:])


def test_other_samples_are_not_compared(runs, tmp_path, capsys):
    """The same numbers, other questions."""
    for file in (runs / "b/results").glob("*/samples/*.jsonl"):
        write_jsonl(file, [{**row, "outputs": ["other"]} for row in read_jsonl(file)])
    done(
        main, ["--compare", str(runs / "a"), str(runs / "b"), "--out", str(tmp_path / "both.html")]
    )
    text = (tmp_path / "both.html").read_text()
    assert text.count("no sample that both were asked") == len(VARIANTS)


@pytest.mark.parametrize(
    ("a", "b", "told"),
    [("a", "nowhere", "no report/figures.json"), ("a", None, "expected 2")],
)
def test_a_mistake_is_told(runs, capsys, a, b, told):
    with pytest.raises(SystemExit) as end:
        main(["--compare", *(str(runs / name) for name in (a, b) if name)])
    assert end.value.code == 2
    assert told in capsys.readouterr().err
