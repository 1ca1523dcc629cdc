"""The stage: its files, that they agree with each other, and that a failure harms nothing."""

import csv
import hashlib
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path

import pytest

from stages.common.commit import commit
from stages.common.errors import UserError
from stages.common.files import read_json
from stages.params import Params
from stages.report import figures, positions
from stages.report.headline import NAMES
from stages.report.inputs import read_items
from stages.report.own import set_aside
from stages.report.stage import STAGE, run
from stages.report.summary import WIDTH, lines, table
from stages.train.stage import write_curve
from tests.stages.report.fabricated_results import (
    LENGTHS,
    TASKS,
    definition,
    job,
    params,
    write_item,
    write_run,
)

VARIANTS = ("rope", "nope", "repo")


@pytest.fixture
def chosen(folder) -> Params:
    write_run(VARIANTS, (42,))
    return params(VARIANTS, (42,))


def _bytes() -> dict[str, bytes]:
    files = sorted(path for path in Path("report").rglob("*") if path.is_file())
    return {path.as_posix(): path.read_bytes() for path in files}


def test_a_variant_that_was_taken_and_not_trained(folder):
    write_run(VARIANTS, (42,))
    write_curve(Path("results/repo-42/loss.csv"), [])  # as the stage train leaves it (train.from)
    run(job(params(VARIANTS, (42,))))
    found = read_json(Path("report/figures.json"))
    assert set(found["training"]) == {"rope", "nope"} and "repo" in found["scores"]
    page = Path("report/index.html").read_text()
    assert re.search(r"Training loss over tokens for RoPE, NoPE(?!, )", page)
    for variant in VARIANTS:
        write_curve(Path(f"results/{variant}-42/loss.csv"), [])
    run(job(params(VARIANTS, (42,))))
    page = Path("report/index.html").read_text()
    assert "Training loss over tokens" not in page and "Training loss during" not in page


def test_the_same_bytes_twice_and_without_the_models(chosen):
    run(job(chosen))
    first = _bytes()
    shutil.rmtree("models")
    run(job(chosen))
    assert _bytes() == first
    assert list(first) == [
        "report/execution.html",
        "report/figures.json",
        "report/index.html",
        "report/metrics.json",
        "report/plots/loss.csv",
        "report/plots/scores.csv",
        "report/summary.csv",
    ]


def test_another_input_is_another_report(chosen):
    run(job(chosen))
    first = _bytes()
    file = Path("results/repo-42/loss.csv")
    file.write_text(file.read_text().replace("100,204800,", "100,204800,9"))
    run(job(chosen))
    assert [name for name, content in _bytes().items() if content != first[name]] == [
        "report/figures.json",
        "report/index.html",
        "report/plots/loss.csv",
    ]


def test_what_other_params_left_is_set_aside_and_changes_nothing(chosen):
    run(job(chosen))
    first = _bytes()
    for again in range(2):
        write_item("nope", 7)
        Path("results/notes.txt").write_text(f"mine {again}")
        Path("results/.building-repo-42").mkdir(exist_ok=True)
        if again:
            set_aside(VARIANTS, (42,))
        else:
            run(job(chosen))
        assert _bytes() == first
        assert {path.name for path in Path("analysis").iterdir()} == {
            ".aside", *(f"{variant}-42" for variant in VARIANTS)
        }  # fmt: skip
        assert Path("results/.aside/nope-7/metrics.json").is_file()
        assert Path("analysis/.aside/nope-7/analysis.json").is_file()
        # Nothing that was set aside before is written over.
        name = "notes.txt.2" if again else "notes.txt"
        assert Path("results/.aside", name).read_text() == f"mine {again}"
        assert Path("results/.aside/notes.txt").read_text() == "mine 0"
        assert Path("results/.aside/nope-7.2/metrics.json").is_file() == bool(again)
        assert not Path("results/nope-7").exists()
        assert Path("results/.building-repo-42").is_dir()


@pytest.mark.parametrize(
    ("variants", "seeds"),
    [(("repo",), (1, 2)), (("rope", "repo"), (1,)), (("nope", "mine"), (1, 2, 3))],
)
def test_the_metrics_of_dvc_are_few_and_short_and_the_report_s(folder, variants, seeds):
    write_run(variants, seeds)
    run(job(params(variants, seeds, reference=variants[0])))
    found, figures = (read_json(Path(f"report/{x}.json")) for x in ("metrics", "figures"))
    assert set(found) <= set(NAMES)
    assert len(NAMES) <= 14
    assert max(map(len, NAMES)) <= 10
    assert all(isinstance(value, int | float | str) for value in found.values())
    focus, reference = figures["focus"], figures["reference"]
    losses = [lengths["128"]["loss"] for lengths in figures["validation"][focus].values()]
    assert found["loss"] == pytest.approx(sum(losses) / len(losses), abs=1e-4)
    mean = figures["suites"][focus]["ruler"]["mean"]["512"]["score"]
    assert found["ours_ext"] == pytest.approx(mean, abs=0.01)
    with Path("report/summary.csv").open() as file:
        table = list(csv.DictReader(file))
    assert len(table) == len(variants) * (len(TASKS) + 1) * len(LENGTHS)
    if focus == reference:
        assert not {name for name in found if name.startswith(("diff", "low"))}
        return
    for place, length in (("train", "128"), ("ext", "512")):
        pair = figures["comparison"]["means"]["ruler"][length]
        assert found[f"diff_{place}"] == pytest.approx(pair["value"], abs=0.01)
        assert found[f"low_{place}"] <= found[f"diff_{place}"] <= found[f"high_{place}"]
        (row,) = [
            row
            for row in table
            if (row["variant"], row["figure"], row["length"]) == (focus, "ruler", length)
        ]
        assert float(row["difference"]) == pair["value"]
    assert found["verdict"] == pair["verdict"]
    page = Path("report/index.html").read_text()
    assert f"extended {found['verdict']}" in figures["verdict"]["sentence"]
    assert figures["verdict"]["sentence"] in unescape(page)


def test_missing_results_leave_the_earlier_report(chosen):
    run(job(chosen))
    first = _bytes()
    Path("results/nope-42/metrics.json").unlink()
    with pytest.raises(UserError, match="results/nope-42"):
        run(job(chosen))
    assert _bytes() == first


def test_plots_hold_the_curves_and_scores(chosen):
    run(job(chosen))
    with Path("report/plots/loss.csv").open() as file:
        losses = list(csv.DictReader(file))
    assert list(losses[0]) == ["variant", "seed", "step", "tokens", "loss"]
    assert len(losses) == 3 * 100
    with Path("report/plots/scores.csv").open() as file:
        scores = list(csv.DictReader(file))
    assert len(scores) == 3 * sum(map(len, TASKS.values())) * len(LENGTHS)
    for row in scores:
        results = read_json(Path(f"results/{row['variant']}-42/metrics.json"))
        cell = results["cells"][row["suite"]][row["task"]][row["length"]]
        assert float(row["score"]) == cell["score"]
        assert row["shortcut"] == ("" if cell["shortcut"] is None else str(cell["shortcut"]))


def test_provenance_has_the_hashes_of_data_and_models(chosen):
    run(job(chosen))
    hashes = dict(read_json(Path("report/figures.json"))["provenance"]["hashes"])
    assert hashes["models/base"] == "0" * 64
    assert hashes["models/rope-42"] == read_json(Path("results/rope-42/metrics.json"))["model"]
    manifest = Path("data/tokens/manifest.json").read_bytes()
    assert hashes["data/tokens"] == hashlib.sha256(manifest).hexdigest()


def test_commit_and_uncommitted_changes(folder):
    def git(*arguments: str) -> str:
        identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
        command = ["git", *identity, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    assert commit(Path()) == "unknown: not a git checkout"
    git("init")
    for name in ("code.py", "dvc.lock"):
        Path(name).write_text("1")
    git("add", ".")
    git("commit", "-m", "first")
    head = git("rev-parse", "HEAD")
    assert commit(Path()) == head
    Path("dvc.lock").write_text("2")
    Path("new.txt").write_text("untracked")
    assert commit(Path()) == head
    Path("code.py").write_text("2")
    assert commit(Path()) == f"{head} with uncommitted changes"


def test_the_stage_reads_every_section():
    assert set(STAGE.reads) == set(Params.model_fields) - {"schema_version"}


@pytest.mark.parametrize(
    "variants",
    [("repo",), VARIANTS, ("rope", "nope", "r2n1", "n2r1", "repo"), ("rope", "mine", "other")],
)
def test_the_terminal_shows_every_cell_within_its_width(folder, variants):
    seeds = (1, 2)
    write_run(variants, seeds)
    run(job(params(variants, seeds)))
    metrics = read_json(Path("report/figures.json"))
    found = table(metrics)
    first = 4 if len(variants) < 5 else 3  # the base stands before them where there is room
    assert max(map(len, [*found, *lines(metrics)])) <= WIDTH
    for suite, tasks in TASKS.items():
        for task in tasks:
            for length in map(str, LENGTHS):
                row = next(x.split() for x in found if x.split()[:2] == [task, length])
                cells = [metrics["scores"][name][suite][task][length] for name in variants]
                assert [row[first + 3 * i] for i in range(len(variants))] == [
                    f"{cell['score']:.1f}" for cell in cells
                ]
                marks = [text.endswith("*") for text in row[first + 2 :: 3]]
                assert marks == [bool(cell["above_shortcut"]) for cell in cells]


def test_a_deep_model_is_drawn_within_bounds(folder, monkeypatch):
    monkeypatch.setattr(positions, "MOST_PANELS", 5)  # one layer of four heads
    write_run(("repo",), (1,), heads=4)
    run(job(params(("repo",), (1,))))
    page = Path("report/index.html").read_text()
    assert page.count("Positions of layer 2, head ") == 4
    assert page.count("Positions of layer 1, head ") == 0


def test_long_inputs_are_thinned(folder, monkeypatch):
    monkeypatch.setattr(positions, "MOST_POINTS", 1)  # 40 a line at least
    write_run(("repo",), (1,), heads=1)
    (item,) = read_items(("repo",), (1,))
    panel = positions.layers(item)[0].heads[0]
    longest = max(re.findall(r' d="([^"]+)"', panel), key=len)
    assert longest.count("L") + 1 == 32  # 128 tokens, every fourth


def test_a_run_without_needles_or_learned_positions(folder):
    write_run(("rope",), (1,))
    item = Path("analysis/rope-1/analysis.json")
    item.write_text(
        item.read_text().replace('"attention_mass": {', '"attention_mass": null, "x": {')
    )
    run(job(params(("rope",), (1,))))
    assert "No variant of this run learns positions" in Path("report/index.html").read_text()


def test_more_seeds_add_items(chosen):
    run(job(chosen))
    for variant in VARIANTS:
        write_item(variant, 43)
    run(job(params(VARIANTS, (42, 43))))
    assert "(seeds ± " in Path("report/index.html").read_text()


def test_a_variant_of_one_s_own_has_its_label_and_a_colour_that_is_drawn(folder):
    variants = ("rope", "repo", *(f"mine{number}" for number in range(8)))
    defined = {name: definition(name) for name in variants}
    defined["mine3"] = definition("mine3", "Third of mine")
    write_run(variants, (1,))
    run(job(params(variants, (1,), definitions=defined)))
    page = Path("report/index.html").read_text()
    assert "Third of mine" in page
    assert "stroke: none" not in page.replace("fill: none; stroke: none", "")
    looks = figures.looks(variants)
    assert len(set(looks.values())) == len(variants)
    for look in looks.values():
        assert f"--{look.series}:" in page
        assert f"var(--{look.series})" in page
