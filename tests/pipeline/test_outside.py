"""Files that params name and DVC does not watch: a changed one makes its stage run again."""

import json
import os
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from pipeline import finished, outside
from pipeline.graph import read_graph
from pipeline.plan import plan
from pipeline.process import run_stage
from stages.benchmarks.given import watched
from stages.given import WATCHED, named
from stages.params import Params, load
from tests.pipeline.conftest import Shell

READS = "open('out/one', 'w').write(open('prose.txt').read() + open('params.yaml').read())"


def test_a_changed_file_makes_its_stage_run_again(
    project: Path, shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REPO_RUNS", str(tmp_path / "runs"))
    monkeypatch.setitem(WATCHED, "one", lambda params, root: [root / "prose.txt"])
    monkeypatch.setattr(outside, "read", lambda root: None)
    (project / "one.py").write_text(READS)
    prose, params = project / "prose.txt", project / "params.yaml"
    prose.write_text("old")
    first = params.read_text()

    def decided() -> tuple[str, str]:
        graph = read_graph(project)
        one = plan(graph, ["one"], finished.outdated(project))["one"]
        return one.action, one.reason

    def run() -> str:
        ended = run_stage(project, "one", dict(os.environ), project / "log", print)
        assert ended.code == 0, ended.line
        return (project / "out/one").read_text()[:3]

    assert run() == "old"
    prose.touch()
    assert decided() == ("fresh", "nothing changed")
    prose.write_text("new")
    assert decided() == ("run", "prose.txt changed")
    assert run() == "new"  # DVC does not see it
    assert decided() == ("fresh", "nothing changed")
    params.write_text(first.replace("one: 1", "one: 2"))
    assert run() == "new"
    prose.write_text("now")
    params.write_text(first)
    assert run() == "now"  # what was made of the other file is not brought back
    prose.unlink()
    assert decided() == ("fresh", "nothing changed")
    assert run() == "now"
    prose.write_text("new")  # back, and another
    assert decided() == ("run", "prose.txt changed")
    for damaged in ("[1]", '{"prose.txt": 3}', "{", ""):
        for kept in (tmp_path / "runs" / "given").rglob("*.json"):
            kept.write_text(damaged)
        assert decided() == ("fresh", "nothing changed"), damaged


def test_what_the_samples_are_made_of_is_watched_wherever_it_is(tmp_path: Path) -> None:
    params = load(Path("params.yaml"))
    assert named(params) == []
    assert watched(params.benchmarks, tmp_path) == []
    folder = tmp_path / "mine"
    folder.mkdir()
    for name in ("qasper.jsonl", "tasks.json", "essays.txt", "chat.jinja", "vt.jsonl"):
        (folder / name).write_text("{}")
    values = YAML(typ="safe", pure=True).load(Path("params.yaml").read_text())
    benchmarks = values["benchmarks"]
    benchmarks["longbench"] |= {"path": "mine", "tasks": ["qasper"]}
    benchmarks["template"] = "mine/chat.jinja"
    benchmarks["ruler"] |= {"prose": str(folder / "essays.txt"), "hotpotqa": "download"}
    own = Params.model_validate(values)
    names = {file.name for file in watched(own.benchmarks, tmp_path)}
    assert names == {"qasper.jsonl", "tasks.json", "essays.txt", "chat.jinja"}
    assert set(map(str, named(own))) == {
        "mine",
        "mine/chat.jinja",
        str(folder / "essays.txt"),
    }
    benchmarks["ruler"] |= {"data": "mine", "tasks": ["vt"]}
    data = Params.model_validate(values)
    assert folder / "vt.jsonl" in watched(data.benchmarks, tmp_path)
    values["tokenizer"] = {"source": "mine"}
    (tmp_path / "params.yaml").write_text(json.dumps(values))
    assert outside.hashes(tmp_path, "tokenizer") == {}
    (folder / "tokenizer.json").write_text("{}")
    assert set(outside.hashes(tmp_path, "tokenizer")) == {"mine/tokenizer.json"}
    assert set(outside.hashes(tmp_path, "benchmarks")) >= {"mine/qasper.jsonl", "mine/tasks.json"}
    assert outside.hashes(tmp_path, "train@repo-42") == {}
