"""The answer: its numbers are those of the records, its words those of the one rule, everywhere."""

import re
from html import unescape
from pathlib import Path
from statistics import fmean

import numpy as np
import pytest

from stages.common.files import read_json, read_jsonl, write_json
from stages.evaluate import verdicts
from stages.evaluate.significance import CANNOT_TELL, Difference, call
from stages.report import forest, verdict
from stages.report.stage import run
from stages.report.summary import lines
from tests.stages.report.fabricated_results import job, params, write_records, write_run

VARIANTS = ("rope", "nope", "repo")


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("verdict"))
        write_run(VARIANTS, (42,))
        for variant in VARIANTS:  # a cell in which nobody scores
            file = Path(f"results/{variant}-42/metrics.json")
            text = read_json(file)
            text["cells"]["ruler"]["vt"]["512"]["score"] = 0.0
            write_json(file, text)
            write_records(f"{variant}-42", "ruler", "vt", 512, 0.0, 31.25)
        run(job(params(VARIANTS, (42,))))
        yield read_json(Path("report/figures.json")), Path("report/index.html").read_text()


def _mean(variant: str, length: int) -> float:
    """Mean over RULER's tasks, recomputed from the records."""
    files = sorted(Path(f"results/{variant}-42/samples").glob(f"ruler-*-{length}.jsonl"))
    assert len(files) == 3
    return fmean(100 * fmean(row["score"] for row in read_jsonl(file)) for file in files)


def _loss(variant: str) -> float:
    files = sorted(Path(f"results/{variant}-42/samples/windows").glob("*-128.jsonl"))
    assert len(files) == 2
    return fmean(fmean(row["loss"] for row in read_jsonl(file)) for file in files)


def test_the_cards_hold_what_the_records_come_to(report):
    metrics, _ = report
    trained, extended, loss, cost = metrics["verdict"]["cards"]
    assert [card["name"] for card in (trained, extended, loss, cost)] == [
        "trained",
        "extended",
        "loss",
        "cost",
    ]
    assert trained["value"] == pytest.approx(_mean("repo", 128) - _mean("rope", 128))
    assert extended["value"] == pytest.approx(_mean("repo", 512) - _mean("rope", 512))
    assert extended["title"] == "RULER, 512 tokens (extended, YaRN x4), 3 tasks"
    assert loss["value"] == pytest.approx(_loss("repo") - _loss("rope"), abs=1e-6)
    counted = metrics["costs"]
    more = counted["repo"]["training_flops"] / counted["rope"]["training_flops"] - 1
    maps = counted["repo"]["map_parameters"] / counted["rope"]["parameters"]
    assert more > 0 and cost["number"] == f"+{100 * more:.1f} %"
    assert f"2 of 3 layers learn positions; parameters +{100 * maps:.1f} %" in cost["note"]
    assert cost["note"].endswith("cache the same")
    for card in (trained, extended, loss):
        assert card["low"] < card["value"] < card["high"]
        digits = 3 if card is loss else 1
        shown = card["number"].split()[0].replace("−", "-")
        assert shown == f"{card['value']:+.{digits}f}"


def test_the_answer_is_of_a_suite_in_which_somebody_scores(tmp_path, monkeypatch):
    """RULER speaks for all, unless nobody answers anything in it and another suite is answered."""
    monkeypatch.chdir(tmp_path)
    write_run(VARIANTS, (42,))
    for variant in VARIANTS:
        file = Path(f"results/{variant}-42/metrics.json")
        text = read_json(file)
        for task, lengths in text["cells"]["ruler"].items():
            for length, cell in lengths.items():
                cell["score"] = 0.0
                write_records(f"{variant}-42", "ruler", task, int(length), 0.0, 31.25)
        write_json(file, text)
    run(job(params(VARIANTS, (42,))))
    metrics = read_json(Path("report/figures.json"))
    trained, extended, *_ = metrics["verdict"]["cards"]
    assert trained["suite"] == extended["suite"] == "longbench"
    shown = read_json(Path("report/metrics.json"))
    mean = metrics["suites"]["repo"]["longbench"]["mean"]
    assert shown["ours_ext"] == pytest.approx(mean["512"]["score"], abs=0.05)


def test_page_and_terminal_say_the_same(report):
    metrics, page = report
    text = " ".join(unescape(re.sub("<[^>]+>", " ", page)).split())
    terminal = " ".join(" ".join(lines(metrics)).split())
    answer = metrics["verdict"]
    for said in (answer["sentence"], *answer["tell"]):
        assert said in text
        assert said in terminal
    for card in answer["cards"]:
        assert card["title"] in text
        assert f"{card['number']} {card['title']}" in terminal
        for other in card["others"]:
            assert other in text
            assert other in terminal


def test_every_cell_is_drawn_or_folded_and_bears_its_verdict(report):
    metrics, page = report
    first, *others = forest.forests(metrics)
    assert (first.variant, [other.variant for other in others]) == ("repo", ["nope"])
    drawn = {
        (block.name.split(",")[0].lower(), line.name, block.name.split()[1]): line
        for block in first.blocks
        for line in block.lines
        if not line.mean
    }
    cells = metrics["comparison"]["cells"]
    wanted = {
        (s, t, n): d for s, ts in cells.items() for t, ns in ts.items() for n, d in ns.items()
    }
    assert set(drawn) == set(wanted) - {("ruler", "vt", "512")}
    assert (first.folded, first.folded_count) == ("vt (512)", 1)
    for cell, line in drawn.items():
        assert line.verdict == wanted[cell]["verdict"]
        kind = {"better": "better", "worse": "worse"}.get(line.verdict, "open")
        assert f'class="{kind}"' in line.drawing
    for block in first.blocks:
        values = [line.value for line in block.lines if not line.mean]
        numbers = [float(value.replace("−", "-")) for value in values]
        assert numbers == sorted(numbers, reverse=True)
    assert page.count("vt (512). A difference of 0") == 2


@pytest.mark.parametrize(
    ("value", "low", "high", "n", "p", "lower", "said"),
    [
        (5.0, 3.0, 7.0, 500, 0.001, False, "better"),
        (5.0, 3.0, 7.0, 500, 0.001, True, "worse"),
        (-0.05, -0.06, -0.04, 500, 0.001, True, "better"),
        (0.1, -0.5, 0.7, 500, 0.7, False, "equal"),
        (0.1, -0.5, 1.7, 500, 0.7, False, "cannot tell"),
        (2.0, 0.5, 3.5, 500, 0.2, False, "cannot tell"),  # the table's correction took the mark
        (0.0, 0.0, 0.0, 12, 1.0, False, "cannot tell"),  # nothing differs, in twelve samples
        (0.0, 0.0, 0.0, 400, 1.0, False, "equal"),
        (3.0, None, None, 5, None, False, "cannot tell"),
    ],
)
def test_the_answer_is_one_of_four(value, low, high, n, p, lower, said):
    one = Difference(n, 1, 1, value, low, high, p, p)
    assert call(one, 1.0, lower) == said


@pytest.mark.parametrize(
    ("one", "said"),
    [
        (Difference(5, 1, 1, 3.0, None, None, None), "at least 10 samples instead of 5"),
        (Difference(100, 1, 1, 0.0, -4.0, 4.0, 1.0), "about 1,600 samples instead of 100"),
        (Difference(100, 1, 1, 3.0, -1.0, 7.0, 0.2), "about 200 samples instead of 100"),
        (Difference(12, 1, 1, 0.0, 0.0, 0.0, 1.0), "about 300 samples instead of 12"),
        (Difference(900, 1, 4, 0.0, -2.0, 2.0, 1.0), "about 16 seeds instead of 4"),
    ],
)
def test_what_would_tell_is_said_in_the_unit_that_varies(one, said):
    assert verdicts.would_tell(one, 1.0) == said


def test_what_would_tell_really_tells():
    """The interval of the measured difference at the number that is named answers."""
    rng = np.random.default_rng(7)
    for value in (-0.9, -0.3, 0.0, 0.5, 2.0):
        half = float(rng.uniform(2.1, 6.0))
        one = Difference(100, 1, 1, value, value - half, value + half, 0.5, 0.5)
        n = int(verdicts.would_tell(one, 1.0).split()[1].replace(",", ""))
        less = half * (100 / n) ** 0.5
        outside = abs(value) >= less
        inside = abs(value) + less <= 1.0 + 1e-9
        assert outside or inside


@pytest.mark.parametrize(
    ("low", "high", "said", "expected"),
    [
        (-5.1, -0.8, CANNOT_TELL, True),
        (0.2, 3.0, CANNOT_TELL, True),
        (-5.1, -0.8, verdicts.WORSE, False),
        (-2.4, 0.7, CANNOT_TELL, False),
        (None, None, CANNOT_TELL, False),
    ],
)
def test_an_interval_that_seems_to_contradict_its_word_is_explained(low, high, said, expected):
    assert verdict.unmarked({"verdict": said, "low": low, "high": high}) is expected


@pytest.mark.parametrize("variants", [("rope",), ("repo",), ("nope", "repo")])
def test_without_two_to_compare_the_page_says_so(folder, variants):
    write_run(variants, (1,))
    chosen = params(variants, (1,))
    run(job(chosen))
    metrics = read_json(Path("report/figures.json"))
    assert metrics["verdict"] is None
    assert "nothing to compare it with" in Path("report/index.html").read_text()
    assert "nothing to compare it with" in "\n".join(lines(metrics))
