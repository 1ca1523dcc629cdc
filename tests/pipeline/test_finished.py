"""A stage that was finished before is brought back; its resumable state goes once DVC has its outs."""

import hashlib
import os
import shutil
import time
from pathlib import Path

import pytest

from pipeline import finished
from pipeline.graph import read_graph
from pipeline.plan import plan, refuse_absent
from pipeline.process import CHATTER, run_stage
from stages.common.errors import UserError
from stages.common.files import write_json
from tests.pipeline.conftest import Shell

COUNTING = """
open('count', 'a').write('x')
open('out/one', 'w').write(open('params.yaml').read().split('one: ')[1].split()[0])
"""


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("REPO_RUNS", str(tmp_path / "runs"))
    return tmp_path / "runs"


def test_who_goes_back_to_earlier_params_gets_the_outs_back(
    project: Path, shell: Shell, runs: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "dvc")  # as it is beside Prefect
    (project / "one.py").write_text(COUNTING)
    params, said = project / "params.yaml", []
    first = params.read_text()

    def run(force: bool = False) -> str:
        log = project / "log"
        ended = run_stage(project, "one", dict(os.environ), log, said.append, force)
        assert ended.code == 0, ended.line
        return (project / "out/one").read_text()

    assert run() == "1"
    params.write_text(first.replace("one: 1", "one: 2"))
    assert run() == "2"
    assert finished.BROUGHT_BACK not in said
    params.write_text(first)
    graph = read_graph(project)
    decided = plan(graph, graph.select(["two"]))
    assert decided["one"].action == "reuse"
    assert decided["one"].reason.startswith("one 2 -> 1; ")
    assert finished.BROUGHT_BACK in decided["one"].reason
    assert decided["two@a"].action in ("run", "maybe")
    assert run() == "1"
    assert (project / "count").read_text() == "xx"
    assert said.count(finished.BROUGHT_BACK) == 1
    assert not [record for record in caplog.records if "lock file" in record.getMessage()]
    after = said[said.index(finished.BROUGHT_BACK) + 1 :]
    assert after and all(CHATTER.match(line) for line in after)
    assert run() == "1"  # nothing to bring back: it is what dvc.lock has
    assert said.count(finished.BROUGHT_BACK) == 1
    assert run(force=True) == "1"
    assert (project / "count").read_text() == "xxx"


@pytest.mark.parametrize("remembered", [True, False], ids=["remembered", "by the lock alone"])
@pytest.mark.parametrize("edited", [False, True], ids=["gone", "edited"])
def test_outs_that_are_gone_come_back_and_are_not_made_anew(
    project: Path, shell: Shell, runs: Path, edited: bool, remembered: bool
) -> None:
    """As in a new worktree, or after ``rm -r models``; ``dvc repro`` would train again."""
    (project / "one.py").write_text(COUNTING)
    names, said = ["one", "two@a"], []
    for name in names:
        assert run_stage(project, name, dict(os.environ), project / "log", print).code == 0
    if not remembered:
        shutil.rmtree(runs / "finished")
    for out in (project / "out").iterdir():
        out.unlink()
        if edited:
            out.write_text("edited by hand")
    graph = read_graph(project)
    decided = plan(graph, names)
    assert {one.action for one in decided.values()} == {"restore"}
    for name in names:
        assert run_stage(project, name, dict(os.environ), project / "log", said.append).code == 0
    assert (project / "count").read_text() == "x"
    assert [(project / "out" / name).read_text() for name in ("one", "two-a")] == ["1", "1"]
    assert said.count(finished.BROUGHT_BACK) == 2
    assert {one.action for one in plan(read_graph(project), names).values()} == {"fresh"}


@pytest.mark.parametrize("other", ["param", "command", "cache", "forced", "outside"])
def test_outs_that_are_gone_are_made_anew_where_something_else_changed(
    project: Path, runs: Path, other: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "one.py").write_text(COUNTING)
    assert run_stage(project, "one", dict(os.environ), project / "log", print).code == 0
    (project / "out/one").unlink()
    changes = {
        "param": ("params.yaml", "one: 1", "one: 2"),
        "command": ("dvc.yaml", " one.py", " ./one.py"),
    }
    if other in changes:
        name, old, new = changes[other]
        (project / name).write_text((project / name).read_text().replace(old, new))
    elif other == "cache":
        shutil.rmtree(project / ".dvc/cache/files")
    elif other == "outside":
        monkeypatch.setattr(finished, "outdated", lambda root, names: dict.fromkeys(names, "it"))
    force = other == "forced"
    assert run_stage(project, "one", dict(os.environ), project / "log", print, force).code == 0
    assert (project / "count").read_text() == "xx"


def test_the_plan_knows_a_whole_chain_that_comes_back(
    project: Path, shell: Shell, runs: Path
) -> None:
    """As a worktree begins: no dvc.lock, no outs, and everything was made before in another one."""
    (project / "both.yaml").write_text("version: 1\n")  # an input and a param, as a version.py is
    graph_file = project / "dvc.yaml"
    both = "deps: [both.yaml]\n    params: [one, both.yaml: [version]]"
    graph_file.write_text(graph_file.read_text().replace("params: [one]", both))
    names = read_graph(project).select([])
    for name in names:
        assert run_stage(project, name, dict(os.environ), project / "log", print).code == 0
    (project / "dvc.lock").unlink()
    shutil.rmtree(project / "out")
    shutil.rmtree(project / "final", ignore_errors=True)

    def decided() -> dict[str, str]:
        graph = read_graph(project)
        found = {name: one.action for name, one in plan(graph, names).items()}
        assert not any(out.hash_info for stage in graph.stages.values() for out in stage.outs)
        return found

    assert {name for name, action in decided().items() if action != "reuse"} == {"three"}
    # (It reads a folder that other stages' outs lie in, as the report does.)
    params = project / "params.yaml"
    params.write_text(params.read_text().replace("one: 1", "one: 2"))
    found = decided()
    assert found["one"] == "run" and "reuse" not in {found["two@a"], found["three"]}
    params.write_text(params.read_text().replace("one: 2", "one: 1"))
    (first,) = (runs / "finished/two@a").glob("*.json")
    first.unlink()
    found = decided()
    assert (found["one"], found["two@a"], found["two@b"]) == ("reuse", "run", "reuse")
    assert found["three"] == "run"
    for name in names:
        assert run_stage(project, name, dict(os.environ), project / "log", print).code == 0
    graph = read_graph(project)
    assert {one.action for one in plan(graph, names).values()} == {"fresh"}


def test_a_chain_goes_on_behind_what_the_lock_has_already(
    project: Path, shell: Shell, runs: Path
) -> None:
    """Other params were stopped after the first stage; then one goes back."""
    names, params = read_graph(project).select([]), project / "params.yaml"
    for name in names:
        assert run_stage(project, name, dict(os.environ), project / "log", print).code == 0
    params.write_text(params.read_text().replace("one: 1", "one: 2"))
    assert run_stage(project, "one", dict(os.environ), project / "log", print).code == 0
    params.write_text(params.read_text().replace("one: 2", "one: 1"))
    graph = read_graph(project)
    found = {name: one.action for name, one in plan(graph, names).items()}
    assert found == {"one": "reuse", "two@a": "reuse", "two@b": "reuse", "three": "maybe"}
    for name in names:
        assert run_stage(project, name, dict(os.environ), project / "log", print).code == 0
    assert {one.action for one in plan(read_graph(project), names).values()} == {"fresh"}


def test_of_a_folder_that_will_be_another_nothing_is_known(
    project: Path, shell: Shell, runs: Path
) -> None:
    """The folder lies there as the params before left it, and what was made of that was kept."""
    names, params = read_graph(project).select([]), project / "params.yaml"
    for old, new in (("one: 1", "one: 1"), ("one: 1", "one: 2")):
        params.write_text(params.read_text().replace(old, new))
        for name in names:
            assert run_stage(project, name, dict(os.environ), project / "log", print).code == 0
    params.write_text(params.read_text().replace("one: 2", "one: 1"))
    found = {name: one.action for name, one in plan(read_graph(project), names).items()}
    assert found == {"one": "reuse", "two@a": "reuse", "two@b": "reuse", "three": "maybe"}


def test_the_resumable_state_of_a_finished_stage_goes(runs: Path) -> None:
    def state(key: str, label: str, done: bool) -> Path:
        folder = runs / "train" / key
        (folder / "checkpoints").mkdir(parents=True)
        (folder / "checkpoints/weights").write_bytes(bytes(1000))
        (folder / "metrics.jsonl").write_text("{}\n")
        (folder / "milestones/step-00001000").mkdir(parents=True)
        write_json(folder / "state.json", {"label": label, "finished": done})
        return folder

    earlier = state("a", "train@repo-1", True)
    os.utime(earlier / "state.json", (1, 1))
    since = time.time() - 1
    others = [earlier, state("b", "train@rope-1", True), state("c", "train@repo-1", False)]
    own = state("d", "train@repo-1", True)
    finished.clear("train@repo-1", since)
    assert not own.exists()
    assert all((other / "checkpoints/weights").is_file() for other in others)
    kept = runs / "finished/train@repo-1/d"
    assert (kept / "metrics.jsonl").read_text() == "{}\n"
    assert (kept / "milestones/step-00001000").is_dir()


def test_a_lock_that_cannot_be_read_keeps_nothing_and_ends_nothing(
    project: Path, runs: Path
) -> None:
    (project / "dvc.lock").write_text("schema: '2.0'\nstages: {one: [")
    assert not finished.keep(project, "one")
    assert finished.not_kept(project, "one") == ""  # another stage is writing it: no failure
    write_json(runs / "finished/one/0.json", {"cmd": "python one.py"})
    assert not finished.restore(project, "one")
    (project / "dvc.lock").unlink()
    assert not finished.keep(project, "one")


def test_what_dvc_s_cache_did_not_take_is_no_success(
    project: Path, shell: Shell, runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "one.py").write_text(COUNTING)
    ended = run_stage(project, "one", dict(os.environ), project / "log", print)
    assert ended.code == 0 and finished.not_kept(project, "one") == ""
    name = hashlib.md5(b"1").hexdigest()
    # Of a file DVC says so itself, of a folder's it does not: the drill has that (tests/stress).
    (project / ".dvc/cache/files/md5" / name[:2] / name[2:]).unlink()
    assert finished.not_kept(project, "one").startswith("out/one was made, but DVC's cache ")
    graph = read_graph(project)
    decided = plan(graph, graph.select(["two"]))
    assert (decided["one"].action, decided["two@a"].action) == ("unkept", "run")
    with pytest.raises(UserError, match="`dvc commit --force one` puts it there"):
        refuse_absent(decided)
    assert finished.not_kept(project, "of no lock") == ""
    shell(project, "dvc", "commit", "--force", "one")
    graph = read_graph(project)
    assert plan(graph, graph.select(["one"]))["one"].action == "fresh"
    assert (project / "count").read_text() == "x"
    # That the run asks: a cache which takes files and no folders needs a mount (tests/stress).
    monkeypatch.setattr(finished, "not_kept", lambda root, name: f"{name} is lost")
    ended = run_stage(project, "one", dict(os.environ), project / "log", print, force=True)
    assert (ended.code, ended.line) == (1, "one is lost")
