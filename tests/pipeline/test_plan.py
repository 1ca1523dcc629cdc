"""Planning on a real DVC repository: what would run, and why."""

from pathlib import Path

import pytest
from dvc.dependency.param import ParamsDependency

from pipeline import plan as plan_module
from pipeline.estimate.view import project_with, share_hashes
from pipeline.graph import read_graph
from pipeline.plan import Decision, plan
from stages.common.errors import UserError
from tests.pipeline.conftest import Shell, clone


def decisions(folder: Path, *targets: str) -> dict[str, Decision]:
    graph = read_graph(folder)
    return plan(graph, graph.select(targets))


def actions(folder: Path, *targets: str) -> dict[str, str]:
    return {name: decision.action for name, decision in decisions(folder, *targets).items()}


@pytest.fixture
def built(project: Path, shell: Shell) -> Path:
    shell(project, "dvc", "repro")
    return project


def test_the_graph_is_dvc_s_and_in_order(project: Path) -> None:
    graph = read_graph(project)
    assert list(graph.stages) == ["one", "two@a", "two@b", "three"]
    assert graph.upstream["two@a"] == ["one"]
    assert set(graph.upstream["three"]) == {"one", "two@a", "two@b"}
    assert graph.select(["two"]) == ["one", "two@a", "two@b"]
    assert graph.select(["two@b"]) == ["one", "two@b"]
    with pytest.raises(UserError, match="stage 'four': unknown; there are one, three, two"):
        graph.select(["four"])


def test_nothing_ran_yet(project: Path) -> None:
    assert set(actions(project).values()) == {"run"}


def test_nothing_to_do(built: Path) -> None:
    assert set(actions(built).values()) == {"fresh"}


@pytest.mark.parametrize(
    "text",
    [
        "kinds: [a, b]\none: 1\ntwo: {x: {y: 2}}\n",
        "kinds: [a, b]\none: 1\ntwo: {x: {y: 3}, z: [1]}\n",
        "kinds: [a, b]\none: 1\ntwo: {x: 5}\n",
        "kinds: [a, b]\none: 1\n",
        "{}\n",
        None,
    ],
    ids=["as it was", "changed", "no keys within", "gone", "empty", "no file"],
)
@pytest.mark.parametrize("names", [["two", "two.x.y", "one"], []], ids=["dotted", "whole file"])
def test_a_params_file_that_is_parsed_once_gives_dvc_s_own_status(
    names: list[str], text: str | None, built: Path
) -> None:
    stage = read_graph(built).stages["one"]
    dep = ParamsDependency(stage, str(built / "params.yaml"), params=names)
    dep.save()
    file = built / "params.yaml"
    if text is None:
        file.unlink()
    else:
        file.write_text(text)
    mine = plan_module._params_status(dep, seen := {})
    assert mine == dict(dep.status()) == plan_module._params_status(dep, seen)
    assert bool(mine) == (text is None or "{y: 2}" not in text)
    assert len(seen) == (text is not None)


def test_a_changed_param_names_the_leaf_and_all_that_follows(built: Path, shell: Shell) -> None:
    params = built / "params.yaml"
    params.write_text(params.read_text().replace("y: 2", "y: 3"))
    found = decisions(built)
    assert {name: d.action for name, d in found.items()} == {
        "one": "fresh",
        "two@a": "run",
        "two@b": "run",
        "three": "maybe",
    }
    assert found["two@a"].reason == "two.x.y 2 -> 3"
    assert found["three"].reason == "after two@a, two@b"
    # two's outs come out the same, so DVC runs these and no other
    out = shell(built, "dvc", "repro").stdout
    assert "Running stage 'two@a'" in out
    assert "Running stage 'three'" not in out


def test_outs_that_are_only_gone_are_restored(built: Path) -> None:
    (built / "out" / "two-a").unlink()
    found = actions(built)
    assert found["two@a"] == "restore"
    assert found["one"] == "fresh"


def test_an_edited_out_is_remade(built: Path) -> None:
    out = built / "out" / "one"
    out.unlink()
    out.write_text("edited")
    assert actions(built)["one"] in ("run", "restore")


def test_a_clone_without_data_is_told_apart(built: Path, tmp_path: Path) -> None:
    found = decisions(clone(built, tmp_path / "clone"))
    assert {decision.action for decision in found.values()} == {"absent"}
    assert "not in the cache" in found["one"].reason


def test_planning_touches_nothing(built: Path) -> None:
    params = built / "params.yaml"
    params.write_text(params.read_text().replace("one: 1", "one: 5"))
    before = {p: p.stat().st_mtime_ns for p in built.rglob("*") if ".dvc/tmp" not in str(p)}
    assert actions(built)["one"] == "run"
    after = {p: p.stat().st_mtime_ns for p in built.rglob("*") if ".dvc/tmp" not in str(p)}
    assert before == after


def test_a_folder_without_a_graph_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no dvc\.yaml here"):
        read_graph(tmp_path)


def test_a_plan_of_other_params_hashes_nothing_again(
    built: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The view of ``plan --set``: hashes of the checkout are known, an edit is seen."""
    import dvc_data.hashfile.hash as hashing

    read: list[str] = []
    real = hashing._hash_file

    def spy(path: str, *arguments: object, **more: object) -> object:
        read.append(path)
        return real(path, *arguments, **more)

    monkeypatch.setattr(hashing, "_hash_file", spy)

    def hashed(shared: bool) -> tuple[list[str], dict[str, str]]:
        read.clear()
        text = (built / "params.yaml").read_text().replace("y: 2", "y: 3")
        with project_with(built, text) as folder:
            graph = read_graph(folder)
            if shared:
                share_hashes(graph.repo, built)
            decided = plan(graph, list(graph.stages))
        outs = [path for path in read if "/out/" in path or path.endswith("final")]
        return outs, {name: one.action for name, one in decided.items()}

    actions(built)
    assert hashed(shared=False)[0], "the spy sees nothing"
    found, decided = hashed(shared=True)
    assert found == []
    assert decided == {"one": "fresh", "two@a": "run", "two@b": "run", "three": "maybe"}
    (built / "out/one").unlink()
    (built / "out/one").write_text("edited by hand")
    found, decided = hashed(shared=True)
    assert len(found) == 1
    assert decided["one"] == "restore"


@pytest.mark.parametrize("cache", ["../cache", "kept", "with % and # in it"])
def test_a_plan_of_other_params_asks_the_project_s_own_cache(
    project: Path, shell: Shell, cache: str
) -> None:
    shell(project, "dvc", "cache", "dir", cache)
    shell(project, "dvc", "repro")
    assert set(actions(project).values()) == {"fresh"}
    with project_with(project, (project / "params.yaml").read_text()) as folder:
        assert set(actions(folder).values()) == {"fresh"}
