"""docs/results: what is shipped was made by the code as it is, or says by which version.

The tables of README and of the folders are read off it.
"""

import csv
import importlib
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from stages.params import load

ROOT = Path(__file__).parents[1]
FOLDERS = sorted(path.parent for path in (ROOT / "docs/results").glob("*/figures.json"))
LARGEST = 3_000_000
ARMS = ROOT / "docs/results/small-4"
"""The run with an arm for everything that a layer can be; its table stands on its own page."""
HYBRID = ROOT / "docs/results/small-5"
"""RePo and the others against N2R1, over five seeds."""
NAMES = {
    "rope": "RoPE", "repo": "RePo", "nope": "NoPE", "nope_late": "NoPE", "r2n1": "R2N1", "n2r1": "N2R1",
}  # fmt: skip


@pytest.fixture(params=FOLDERS, ids=lambda path: path.name)
def folder(request: pytest.FixtureRequest) -> Path:
    return Path(request.param)


def versions(lock: dict[str, Any]) -> dict[str, int]:
    """Stage -> the VERSION that made it."""
    found = {}
    for name, stage in lock["stages"].items():
        for file, values in stage.get("params", {}).items():
            if file.endswith("/version.py"):
                found[name.partition("@")[0]] = values["VERSION"]
    return found


def test_there_is_a_result() -> None:
    assert FOLDERS


def test_it_is_whole(folder: Path) -> None:
    names = {path.name for path in folder.iterdir()}
    figures = {"figures.json", "metrics.json", "summary.csv"}
    profile = load(folder / "params.yaml").profile
    assert folder.name == profile or re.fullmatch(rf"{profile}-\d", folder.name)
    if folder.name == profile:  # the others' pages would be megabytes that nobody opens
        assert (folder / "report.html").stat().st_size < LARGEST
        figures.add("report.html")
    assert names - {"controls.json"} == {"README.md", "params.yaml", "lock.yaml"} | figures


def test_its_versions_are_today_s_or_are_named(folder: Path) -> None:
    text = (folder / "README.md").read_text(encoding="utf-8")
    made = versions(yaml.safe_load((folder / "lock.yaml").read_text()))
    assert {"train", "evaluate", "report"} <= set(made)
    for stage, version in made.items():
        today = importlib.import_module(f"stages.{stage}.version").VERSION
        if version != today:
            assert f"{stage} {version}" in text, (
                f"{stage} was VERSION {version} and is {today}: say `{stage} {version}`"
            )


ROW = re.compile(r"^\|[^|]*?(niah_\w+|cwe|vt|with YaRN)[^|]*\| ([\d,]+) \|(.*)\|$", re.MULTILINE)


def figures(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((ROOT / "docs/results" / name / "figures.json").read_text())
    return found


def table(page: str, head: str) -> str:
    """The rows of ``page``'s table whose first line begins with ``head``."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return text[text.index(head) :].partition("\n\n")[0]


@pytest.mark.parametrize(
    ("name", "head", "base", "source"),
    [
        ("small", "| `small`: score, % ", True, "longer"),
        ("tiny", "| `tiny`: score, % ", False, "long"),
    ],
)
def test_a_folder_s_scores_and_losses_are_its_own(
    name: str, head: str, base: bool, source: str
) -> None:
    found, told_rows = figures(name), table(f"docs/results/{name}/README.md", head)
    rows = ROW.findall(told_rows)
    assert len(rows) >= 2
    task = ""
    for named, length, cells in rows:
        task = task if named == "with YaRN" else named
        told = [text.strip().strip("*") for text in cells.split("|")]
        models = [found["base"]["scores"]] if base else []
        models += [found["scores"][variant] for variant in found["variants"]]
        made = [scores["ruler"][task][length.replace(",", "")] for scores in models]
        assert told == [
            f"{made[-1]['shortcut']:.1f}",
            *(f"{cell['score']:.1f} ± {cell['stderr']:.1f}" for cell in made),
        ], (task, length)
    row = r"^(\| loss on held-out long documents[^|]*\| ([\d,]+) \|.*)$"
    losses = re.findall(row, told_rows, re.MULTILINE)
    assert losses
    for cells, length in losses:
        of = [found["base"]["validation"], *(found["validation"][v] for v in found["variants"])]
        wanted = [f"{one[source][length.replace(',', '')]['loss']:.3f}" for one in of]
        assert re.findall(r"\d\.\d{3}", cells) == wanted


def difference(found: dict[str, Any], places: int = 1) -> str:
    """RePo minus RoPE with its interval, as README writes it."""
    value, low, high = (f"{found[key]:+.{places}f}" for key in ("value", "low", "high"))
    return f"{value} [{low}, {high}]".replace("-", "\N{MINUS SIGN}")


@pytest.mark.parametrize(
    ("page", "least"),
    [("README.md", 5), ("docs/results/README.md", 1)],
)
def test_the_differences_are_their_figures(page: str, least: int) -> None:
    """README has those of five seeds, the results' own page all of them."""
    row = r"^\| (\w+)[^|]*: \[(small[-\d]*)\]\([^)]*\), (\w+) seeds? \|(.*)\|$"
    rows = re.findall(row, table(page, "| RePo minus"), re.MULTILINE)
    shipped = {f.name for f in FOLDERS if re.fullmatch(r"small(-\d)?", f.name)} - {ARMS.name}
    wanted = {name for name in shipped if len(figures(name)["seeds"]) >= least}
    assert {name for _, name, _, _ in rows} == wanted
    for reference, name, seeds, cells in rows:
        found = figures(name)
        compared, loss = found["comparisons"]["repo"], found["verdict"]["cards"][2]
        assert reference == NAMES[found["reference"]]
        assert seeds == {1: "one", 5: "five"}[len(found["seeds"])]
        assert [cell.strip() for cell in cells.split("|")] == [
            difference(compared["means"]["ruler"]["512"]),
            difference(compared["means"]["ruler"]["2048"]),
            difference(compared["cells"]["ruler"]["niah_single_1"]["2048"]),
            difference(loss, places=3),
        ]
        told = {"RoPE": "worse", "NoPE": "equal", "N2R1": "better"}
        assert loss["verdict"] == told[reference], "README says so"


@pytest.mark.parametrize("folder", [ARMS, HYBRID], ids=lambda path: path.name)
def test_a_table_of_arms_is_what_was_measured(folder: Path) -> None:
    found = figures(folder.name)
    names = {**NAMES, **found["labels"]}
    text = (folder / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\w[^|]*?) \|[^|]*\| ([+\N{MINUS SIGN}]\d.*) \|$", text, re.MULTILINE)
    told = {name: cells.split(" | ") for name, cells in rows}
    arms = [arm for arm in found["variants"] if arm != found["reference"]]
    assert set(told) == {names[arm] for arm in arms}
    with open(folder / "summary.csv", encoding="utf-8") as file:
        lines = {(r["variant"], r["figure"], r["length"]): r for r in csv.DictReader(file)}
    for arm in arms:
        loss = float(lines[arm, "validation loss", "512"]["difference"])
        means = found["comparisons"][arm]["means"]["ruler"]
        assert told[names[arm]] == [
            f"{loss:+.3f}".replace("-", "\N{MINUS SIGN}"),
            *(f"{difference(means[n])} {means[n]['verdict']}" for n in ("512", "1024", "2048")),
        ]


@pytest.mark.parametrize(
    ("page", "folder", "places", "said"),
    [
        (
            "small-4",
            ARMS,
            0,
            "found in {n2r1} of 100 by N2R1, in {repo} by RePo, in {rope} by RoPE",
        ),
        (
            "small-5",
            HYBRID,
            1,
            "found in {n2r1} of 100 by N2R1, in {repo} by RePo, in {rope} by RoPE, in {nope_late} by",
        ),
        ("", HYBRID, 1, "2,048 tokens in {n2r1} of 100 where RePo finds {repo},"),
    ],
    ids=["small-4", "small-5", "README"],
)
def test_the_needle_in_noise_is_found_as_often_as_is_said(
    page: str, folder: Path, places: int, said: str
) -> None:
    text = (ROOT / "docs/results" / page if page else ROOT) / "README.md"
    scores = figures(folder.name)["scores"].items()
    needle = {arm: row["ruler"]["niah_single_1"]["2048"]["score"] for arm, row in scores}
    rounded = {arm: f"{score:.{places}f}" for arm, score in needle.items()}
    assert said.format(**rounded) in " ".join(text.read_text(encoding="utf-8").split())


def test_readme_s_word_on_the_real_model_is_its_figure() -> None:
    found = figures("smollm2-cpu")
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"(loss {found['verdict']['cards'][2]['value']:+.3f} nats)" in text
    cells = found["scores"]["repo"]["ruler"].values()
    assert not [cell for task in cells for cell in task.values() if cell["score"]]


def test_the_real_model_s_table_is_what_was_measured() -> None:
    found = figures("smollm2-cpu-1")
    text = (ROOT / "docs/results/smollm2-cpu-1/README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\w[^|]*?) \| ([\d.]+ .*) \|$", text, re.MULTILINE)
    told = {name: cells.split(" | ") for name, cells in rows}
    names = {"base": "base", **NAMES, **found["labels"]}
    scores = {"base": found["base"]["scores"], **found["scores"]}
    losses = {"base": found["base"]["validation"], **found["validation"]}
    assert told == {
        names[arm]: [
            *(f"{cells['1024']['score']:.1f}" for cells in scores[arm]["ruler"].values()),
            f"{losses[arm]['python']['1024']['loss']:.3f}",
        ]
        for arm in scores
    }
    for arm in ("nope10", "repo"):  # README: they answer nothing
        assert not any(cells["1024"]["score"] for cells in scores[arm]["ruler"].values())


@pytest.mark.parametrize(
    ("name", "verdicts"),
    [
        ("small", ["cannot tell", "cannot tell", "worse"]),
        ("small-3", ["cannot tell", "better", "equal"]),
        ("small-5", ["cannot tell", "cannot tell", "better"]),
    ],
)
def test_readme_s_verdict_is_that_of_five_seeds(name: str, verdicts: list[str]) -> None:
    """At the trained length, extended, and the loss."""
    cards = figures(name)["verdict"]["cards"][:3]
    assert [card["verdict"] for card in cards] == verdicts
    assert all(card["seeds"] == 5 for card in cards)


@pytest.mark.parametrize("folder", [path for path in FOLDERS if (path / "controls.json").is_file()])
def test_the_controls_table_is_what_was_measured(folder: Path) -> None:
    found = json.loads((folder / "controls.json").read_text(encoding="utf-8"))
    text = (folder / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (?:as|values|keys|needles)[^|]*\|(.*)\|$", text, re.MULTILINE)
    assert f"baseline {found['guess']:.1f}" in text.replace("\n", " ")
    assert [[cell.strip() for cell in row.split("|")] for row in rows] == [
        [f"{cell['score']:.1f} ± {cell['stderr']:.1f}" for cell in cells.values()]
        for cells in found["scores"].values()
    ]


def test_the_graphs_table_is_what_was_measured() -> None:
    """Every row of docs/results/graphs: a task at a length, or the mean over them."""
    found = figures("graphs")
    text = (ROOT / "docs/results/graphs/README.md").read_text(encoding="utf-8")
    row = r"^\| (mean of 10|\w+_\w+) \| ([\d,]+) \| (\d+) \| ([\d.]*) ?\|(.*)\|$"
    rows = re.findall(row, text, re.MULTILINE)
    compared = found["comparisons"]["repo"]
    models = [found["base"], *({"scores": found["scores"][v]} for v in ("rope", "repo"))]
    means = [found["base"]["suites"], found["suites"]["rope"], found["suites"]["repo"]]
    assert len(rows) == 22
    for task, length, n, guess, cells in rows:
        at = length.replace(",", "")
        if task == "mean of 10":
            one = compared["means"]["nlgraph"][at]
            made = [suite["nlgraph"]["mean"][at]["score"] for suite in means]
            assert guess == ""
        else:
            one = compared["cells"]["nlgraph"][task][at]
            made = [model["scores"]["nlgraph"][task][at]["score"] for model in models]
            shortcut = models[0]["scores"]["nlgraph"][task][at]["shortcut"]
            assert guess == ("" if shortcut is None else f"{shortcut:.1f}")
        assert int(n) == one["n"] and one["seeds"] == 5
        told = [cell.strip() for cell in cells.split("|")]
        assert told == [*(f"{score:.1f}" for score in made), f"{difference(one)} {one['verdict']}"]
    trained, extended, loss, _ = found["verdict"]["cards"]
    assert [card["verdict"] for card in (trained, extended, loss)] == ["cannot tell"] * 2 + [
        "worse"
    ]
    readme = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    points, nats = (difference(trained), "points"), (difference(loss, 3), "nats")
    scores, losses = (text.replace(" [", f" {unit} [") for text, unit in (points, nats))
    assert f"{scores} over ten cells, validation loss {losses}, worse" in readme


def test_the_instruct_model_s_table_is_what_was_measured() -> None:
    folder = ROOT / "docs/results/smollm2-instruct"
    text = (folder / "README.md").read_text(encoding="utf-8")
    made = [json.loads((folder / f"{name}.json").read_text()) for name in ("none", "auto")]
    assert [one["made"]["template"] for one in made] == ["none", "auto"]
    rows = re.findall(r"^\| (niah_\w+) \| ([\d,]+) \| ([\d.]+) \| (.*) \|$", text, re.MULTILINE)
    assert len(rows) == 6
    for task, length, guess, cells in rows:
        found = [one["cells"][task][length.replace(",", "")] for one in made]
        assert guess == f"{found[0]['shortcut']:.1f}" and {cell["n"] for cell in found} == {20}
        assert cells.split(" | ") == [f"{c['score']:.1f} ± {c['stderr']:.1f}" for c in found]
    means = [one["mean"][length]["score"] for one in made for length in ("1024", "2048")]
    said = "{:.1f} and {:.1f} without, {:.1f} and {:.1f} with the template".format(*means)
    assert said in " ".join(text.split())
