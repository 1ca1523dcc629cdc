"""The real graph with stub commands: what a change of a variant runs, and what it leaves alone."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from pipeline.graph import read_graph
from pipeline.plan import plan
from pipeline.use import profiles
from stages.common.migration import complete
from tests.pipeline.conftest import Shell

STUB = """
import sys, pathlib
for path in map(pathlib.Path, sys.argv[1:]):
    if path.parts[0] == "data":
        path = path / "manifest.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(" ".join(sys.argv[1:]))
if "report/metrics.json" in sys.argv:
    import json
    from ruamel.yaml import YAML
    from stages.report.headline import NAMES
    from stages.report.own import set_aside
    params = YAML(typ="safe").load(open("params.yaml"))
    set_aside(params["variants"], params["seeds"])
    widest = dict.fromkeys(NAMES, -99.99) | {"loss": 10.8273, "verdict": "too few"}
    pathlib.Path("report/metrics.json").write_text(json.dumps(widest))
"""


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, project_root: Path) -> Path:
    """A project in which every stage of the real dvc.yaml has run, with stubs for the work."""
    folder = tmp_path_factory.mktemp("graph") / "project"
    folder.mkdir()
    yaml = YAML()  # keeps the order of the matrix, which makes the names
    graph = yaml.load((project_root / "dvc.yaml").read_text())
    for stage in graph["stages"].values():
        outs = [*stage.get("outs", []), *stage.get("metrics", []), *stage.get("plots", [])]
        stage["cmd"] = " ".join(["python stub.py", *(next(iter(out)) for out in outs)])
    with open(folder / "dvc.yaml", "w") as file:
        yaml.dump(graph, file)
    for version in (project_root / "stages").glob("*/version.py"):
        target = folder / version.relative_to(project_root)
        target.parent.mkdir(parents=True)
        shutil.copy(version, target)
    (folder / "stub.py").write_text(STUB)
    shutil.copy(project_root / ".dvcignore", folder)
    (folder / ".gitignore").write_text("/data/\n/models/\n/results/\n/analysis/\n/report/\n")
    write(folder, lambda params: None)
    return folder


def write(folder: Path, change: Callable[[Any], None]) -> None:
    params = YAML(typ="safe", pure=True).load(profiles()["smoke"])
    params["base"]["architecture"]["num_hidden_layers"] = 3
    params["variants"] = ["rope", "repo", "mine"]
    params["definitions"]["mine"] = {"train": {"positions": ["nope", "repo"]}}
    change(params)
    complete(params)
    with open(folder / "params.yaml", "w") as file:
        YAML(typ="safe", pure=True).dump(params, file)


def _leftovers_change_nothing(folder: Path, shell: Shell) -> None:
    """Results of other params, and no models: dvc.lock stays, and with it what a clone pulls."""
    lock = (folder / "dvc.lock").read_text()
    for leftover in ("results/old-7/metrics.json", "analysis/old-7", "models/old-7"):
        (folder / leftover).parent.mkdir(exist_ok=True)
        (folder / leftover).write_text("of other params")
    (folder / "models").rename(folder / "away")
    shell(folder, "dvc", "repro", "-q", "--single-item", "--force", "report")
    (folder / "away").rename(folder / "models")
    assert (folder / "dvc.lock").read_text() == lock


def _a_line_of_metrics(folder: Path, shell: Shell) -> None:
    """The only metrics are the report's, and the widest that it writes fit the terminal."""
    shown = shell(folder, "dvc", "metrics", "show").stdout.splitlines()
    assert [line.split()[0] for line in shown] == ["Path", "report/metrics.json"]
    assert max(map(len, shown)) <= 200


def test_what_a_change_of_a_variant_runs(
    finished: Path, shell: Shell, project_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shell(finished, "git", "init", "-q")
    shell(finished, "dvc", "init", "-q")
    monkeypatch.setenv("PYTHONPATH", str(project_root))
    shell(finished, "dvc", "repro", "-q")
    _leftovers_change_nothing(finished, shell)
    _a_line_of_metrics(finished, shell)

    def due(change: Callable[[Any], None]) -> dict[str, str]:
        write(finished, change)
        graph = read_graph(finished)
        decided = plan(graph, list(graph.stages))
        return {name: one.action for name, one in decided.items() if one.action != "fresh"}

    def set_(part: str, value: Any, name: str = "mine") -> Callable[[Any], None]:
        return lambda params: params["definitions"][name].update({part: value})

    assert due(lambda params: None) == {}
    assert due(set_("report", {"label": "Mine"})) == {"report": "run"}
    scaled = due(set_("evaluate", {"softmax_scale": [{"length": 256, "scale": 1.1}]}))
    assert scaled.get("evaluate@mine-42") == "run", scaled
    assert not any(name.startswith(("train", "extend")) for name in scaled)
    moved = due(set_("train", {"positions": ["rope", "repo"]}))
    assert moved["train@mine-42"] == "run"
    assert {name for name in moved if name.startswith("train")} == {"train@mine-42"}
    added = due(lambda params: params["variants"].append("nope"))
    assert {name for name in added if name.startswith("train")} == {"train@nope-42"}
