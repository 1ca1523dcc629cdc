"""Identity: DVC tracks all that a stage reads, and a changed code never goes unnoticed."""

import importlib
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from stages.common import paths
from stages.common.stage import Stage
from tests.stages import fingerprints


@pytest.fixture(scope="module")
def graph(project_root: Path) -> dict[str, Any]:
    content: dict[str, Any] = YAML(typ="safe").load((project_root / "dvc.yaml").read_text())
    return content["stages"]


def declared(name: str) -> Stage:
    return importlib.import_module(f"stages.{name}.stage").STAGE  # type: ignore[no-any-return]


def outs(entry: dict[str, Any]) -> dict[str, dict[str, Any]]:
    listed = [*entry.get("outs", []), *entry.get("metrics", []), *entry.get("plots", [])]
    return {path: options for out in listed for path, options in out.items()}


def test_dvc_yaml_has_the_stages_and_each_its_own_shape(graph: dict[str, Any]) -> None:
    assert sorted(graph) == fingerprints.STAGES
    for name, entry in graph.items():
        assert declared(name).name == name
        assert ("matrix" in entry) == declared(name).matrix
        assert entry["cmd"].startswith(f"python -m stages.{name}")


def test_a_stage_s_params_are_those_it_may_read(graph: dict[str, Any]) -> None:
    for name, entry in graph.items():
        named = {param for param in entry["params"] if isinstance(param, str)}
        parts = {param for param in named if param.startswith("definitions.")}
        sections = named - parts
        part = declared(name).defines
        assert parts == ({f"definitions.${{item.variant}}.{part}"} if part else set()), name
        versions = [param for param in entry["params"] if not isinstance(param, str)]
        assert sections == set(declared(name).reads), name
        assert versions == [{f"stages/{name}/version.py": ["VERSION"]}], name


def test_every_out_is_kept_while_its_stage_runs_and_is_ignored_by_git(
    graph: dict[str, Any], project_root: Path
) -> None:
    ignored = (project_root / ".gitignore").read_text().splitlines()
    for name, entry in graph.items():
        for path, options in outs(entry).items():
            assert options["persist"] is True, (name, path)
            assert f"/{path.split('/')[0]}/" in ignored, path


def test_outs_stand_where_the_code_writes_them(graph: dict[str, Any]) -> None:
    item = "${item.variant}-${item.seed}"
    expected = {
        "corpus": {paths.CORPUS},
        "tokenizer": {paths.TOKENIZER},
        "tokenize": {paths.TOKENS},
        "base": {paths.BASE},
        "benchmarks": {paths.BENCHMARKS},
        "train": {paths.model(item), paths.curve(item)},
        "extend": {paths.extended(item)},
    }
    for name, places in expected.items():
        assert {Path(path) for path in outs(graph[name])} == places, name


@pytest.mark.skipif(
    sys.version_info[:2] != fingerprints.PYTHON, reason="syntax trees of another Python"
)
def test_every_code_change_was_decided() -> None:
    now, before = fingerprints.current(), fingerprints.recorded()
    changed = fingerprints.undecided(now, before)
    assert not changed, (
        f"the code behind {changed} changed: raise VERSION where results change, then run "
        f"`python -m tests.stages.fingerprints [--no-effect {' '.join(changed)}]`"
    )
    assert now == before, "run `python -m tests.stages.fingerprints` to record the new versions"


def test_a_fingerprint_sees_code_and_not_docstrings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "stages").mkdir()
    (tmp_path / "stages" / "b.py").write_text('"""Old."""\nX = 1\n"""Of X."""\n')
    (tmp_path / "stages" / "a.py").write_text("from stages.b import X\nY = X\n")
    monkeypatch.setattr(fingerprints, "ROOT", tmp_path)

    def value() -> str:
        return fingerprints._fingerprint(fingerprints.closure("stages.a"))

    first = value()
    (tmp_path / "stages" / "b.py").write_text('"""New."""\n# comment\nX = 1\n"""Other."""\n')
    assert value() == first
    (tmp_path / "stages" / "b.py").write_text('"""New."""\nX = 2\n')
    assert value() != first


def test_training_is_in_the_closure_of_train() -> None:
    found = fingerprints.closure("stages.train.stage")
    assert {"stages.training.loop", "stages.common.tokens", "repo_model.loading"} <= set(found)
    assert "stages.evaluate.stage" not in found
