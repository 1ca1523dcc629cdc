"""What a plan says of a stage is what a run does with it, and what comes out is never stale."""

import hashlib
import os
import re
from pathlib import Path

import pytest

from pipeline.graph import read_graph
from pipeline.plan import plan
from pipeline.process import run_stage
from tests.pipeline.conftest import Shell


class Chain:
    """The small project: its params, what a run does, and what was really run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("one", "two", "three"):
            script = folder / f"{name}.py"
            script.write_text(script.read_text() + f"\nopen('ran', 'a').write('{name} ')")

    def set(self, one: int) -> None:
        """Change the param of the first stage."""
        content = re.sub("one: [0-9]+", f"one: {one}", (self.folder / "params.yaml").read_text())
        (self.folder / "params.yaml").write_text(content)

    def actions(self) -> dict[str, str]:
        """What a plan says of each stage."""
        graph = read_graph(self.folder)
        return {name: one.action for name, one in plan(graph, list(graph.stages)).items()}

    def run(self, *names: str) -> list[str]:
        """Run them as the flow does, all by default; returns whose script ran."""
        (self.folder / "ran").write_text("")
        graph = read_graph(self.folder)
        decided = plan(graph, graph.select(list(names)))
        for name, decision in decided.items():
            if decision.action != "fresh":
                ended = run_stage(self.folder, name, dict(os.environ), self.folder / "log", print)
                assert ended.code == 0, ended.line
        return (self.folder / "ran").read_text().split()


@pytest.fixture
def chain(project: Path, shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Chain:
    monkeypatch.setenv("REPO_RUNS", str(tmp_path / "runs"))
    made = Chain(project)
    assert made.run() == ["one", "two", "two", "three"]
    return made


def test_what_reads_an_out_that_comes_back_is_asked_for_that_one(chain: Chain) -> None:
    """The first stage was run alone with another param, and its out removed."""
    chain.set(2)
    assert chain.run("one") == ["one"]
    before = chain.actions()
    (chain.folder / "out/one").unlink()
    found = chain.actions()
    assert found == {**before, "one": "restore"}
    assert (found["two@a"], found["three"]) == ("run", "maybe")
    assert chain.run() == ["two", "two", "three"]
    assert (chain.folder / "final").read_text() == "2"
    assert set(chain.actions().values()) == {"fresh"}


def test_a_lock_that_is_ahead_of_an_out_makes_nothing_stale(chain: Chain) -> None:
    """Killed while earlier outs were brought back: the lock names them, the folder has others."""
    chain.set(2)
    assert chain.run() == ["one", "two", "two", "three"]
    stale = (chain.folder / "out/one").read_bytes()
    chain.set(1)
    assert chain.run("one") == []
    (chain.folder / "out/one").unlink()
    (chain.folder / "out/one").write_bytes(stale)
    found = chain.actions()
    assert found["one"] == "restore" and "fresh" not in found.values()
    chain.run()
    assert (chain.folder / "final").read_text() == "1"


def test_all_outs_that_are_gone_come_back_and_nothing_runs(chain: Chain) -> None:
    for file in (*(chain.folder / "out").iterdir(), chain.folder / "final"):
        file.unlink()
    found = chain.actions()
    assert found.pop("three") == "maybe"  # it reads the folder that the others come back into
    assert set(found.values()) == {"restore"}
    assert chain.run() == []
    assert (chain.folder / "final").read_text() == "1"
    assert set(chain.actions().values()) == {"fresh"}


def test_what_was_never_made_of_an_input_is_not_said_to_come_back(chain: Chain) -> None:
    """The first stage alone was once run with 2; its readers have only seen 1 and 3."""
    chain.set(2)
    chain.run("one")
    chain.set(3)
    chain.run()
    chain.set(2)
    found = chain.actions()
    assert found == {"one": "reuse", "two@a": "maybe", "two@b": "maybe", "three": "maybe"}
    assert chain.run() == ["two", "two", "three"]
    assert (chain.folder / "final").read_text() == "2"


@pytest.mark.parametrize("here", [True, False])
def test_a_lost_out_of_other_inputs_is_made_anew(chain: Chain, here: bool) -> None:
    """No advice to record it as the result of what it was not made of, and no refusal."""
    chain.set(2)
    chain.run("one")
    lost = hashlib.md5(b"1").hexdigest()
    (chain.folder / ".dvc/cache/files/md5" / lost[:2] / lost[2:]).unlink()
    if not here:
        (chain.folder / "out/two-a").unlink()
    assert chain.actions()["two@a"] == "run"
    chain.run()
    assert (chain.folder / "final").read_text() == "2"


def test_an_out_that_dvc_yaml_asks_for_as_well_is_made(chain: Chain) -> None:
    file = chain.folder / "dvc.yaml"
    file.write_text(file.read_text().replace("[out/one: {", "[more: {persist: true}, out/one: {"))
    assert chain.actions()["one"] == "run"
