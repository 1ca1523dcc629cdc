"""docs/results: what is shipped was made by the code as it is, or says by which version.

README's table is read off it.
"""

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
    figures = {"report.html", "figures.json", "metrics.json", "summary.csv"}
    assert names == {"README.md", "params.yaml", "lock.yaml"} | figures
    assert (folder / "report.html").stat().st_size < LARGEST
    assert load(folder / "params.yaml").profile == folder.name


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


ROW = re.compile(r"^\|[^|]*?(niah_\w+|cwe|vt|with YaRN)[^|]*\| (\d+) \|(.*)\|$", re.MULTILINE)


def test_readme_s_scores_are_its_own() -> None:
    metrics = json.loads((ROOT / "docs/results/tiny/figures.json").read_text())
    rows = ROW.findall((ROOT / "README.md").read_text(encoding="utf-8"))
    assert len(rows) >= 3
    task = ""
    for name, length, cells in rows:
        task = task if name == "with YaRN" else name
        told = [text.strip().strip("*") for text in cells.split("|")]
        made = []
        for variant in ("rope", "nope", "repo"):
            cell = metrics["scores"][variant]["ruler"][task][length]
            made.append(f"{cell['score']:.1f} ± {cell['stderr']:.1f}")
        assert told == [f"{cell['shortcut']:.1f}", *made], (task, length)


def test_readme_s_losses_are_its_own() -> None:
    metrics = json.loads((ROOT / "docs/results/tiny/figures.json").read_text())
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (row,) = re.findall(r"^\| loss on held-out long documents.*$", text, re.MULTILINE)
    of = [
        metrics["base"]["validation"],
        *(metrics["validation"][v] for v in ("rope", "nope", "repo")),
    ]
    losses = [f"{found['long']['256']['loss']:.3f}" for found in of]
    assert re.findall(r"\d\.\d{3}", row) == losses
