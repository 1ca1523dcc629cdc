"""Runs in a worktree: beside the workspace, with its cache, named by what they are."""

from pathlib import Path

import pytest

from pipeline import checkout as module
from pipeline.checkout import (
    Checkout,
    brought,
    checkout,
    link_inputs,
    remove_worktree,
    save_experiment,
    saved,
)
from pipeline.graph import read_graph
from stages.common.errors import UserError
from tests.pipeline.conftest import Shell


@pytest.fixture
def committed(project: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(project)
    monkeypatch.setenv("REPO_RUNS", str(project / "runs"))
    (project / ".gitignore").write_text("/out/\n/final\n/runs/\n")
    for command in (
        ("config", "user.name", "t"),
        ("config", "user.email", "t@t"),
        ("add", "-A"),
        ("commit", "-qm", "all"),
    ):
        shell(project, "git", *command)
    return project


def worktree(main: Path, monkeypatch: pytest.MonkeyPatch, one: int) -> Checkout:
    """A worktree of the small project, whose params are not those of the pipeline's schema."""
    text = (main / "params.yaml").read_text().replace("one: 1", f"one: {one}")
    monkeypatch.setattr(module, "compose", lambda *given: text)
    return checkout(main, None, [f"one={one}"])


def test_in_place_nothing_is_made(committed: Path) -> None:
    assert checkout(committed, None, []) == Checkout(committed)
    assert not (committed / "runs" / "worktrees").exists()


@pytest.mark.parametrize("stages", [[], ["one", "two@a", "two@b", "three"]], ids=["all", "named"])
def test_a_worktree_has_the_params_the_edits_and_the_cache(
    committed: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch, stages: list[str]
) -> None:
    shell(committed, "dvc", "repro")
    (committed / "three.py").write_text("open('final', 'w').write('edited')")
    before = shell(committed, "git", "status", "--porcelain").stdout
    here = worktree(committed, monkeypatch, 7)
    assert (here.root / "params.yaml").read_text().count("one: 7") == 1
    assert (here.root / "three.py").read_text().endswith("'edited')")
    (here.root / "out").mkdir()
    shell(here.root, "dvc", "repro")
    assert (here.root / "out" / "one").read_text() == "7"
    assert (here.root / "final").read_text() == "edited"
    # what DVC knows besides, and nobody brought here
    (here.root / "other.dvc").write_text(f"outs:\n- md5: {'ab' * 16}\n  size: 1\n  path: other\n")
    save_experiment(here, stages)
    assert here.experiment and saved(committed, here.experiment)
    assert here.experiment in shell(committed, "dvc", "exp", "list").stdout
    # the workspace is as it was
    assert (committed / "out" / "one").read_text() == "1"
    assert shell(committed, "git", "status", "--porcelain").stdout == before
    # and the experiment comes back by name, from the shared cache
    shell(committed, "git", "checkout", "-q", "three.py")
    told = brought(here, read_graph(here.root).stages)
    assert "error" not in told
    shell(committed, *told.split("`")[1].split())
    assert (committed / "out" / "one").read_text() == "7"


def test_what_ran_alone_is_brought_too_and_dvc_s_error_is_told(
    committed: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = worktree(committed, monkeypatch, 7)
    (here.root / "out").mkdir()
    shell(here.root, "dvc", "repro", "two@a")
    save_experiment(here, ["one", "two@a"])
    told = brought(here, read_graph(here.root).stages)
    assert "ends with an error" in told
    assert shell(committed, *told.split("`")[1].split(), check=False).returncode == 255
    assert (committed / "out" / "one").read_text() == "7"


def test_the_same_command_finds_the_same_worktree(
    committed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = worktree(committed, monkeypatch, 2)
    (first.root / "kept").touch()
    assert worktree(committed, monkeypatch, 2) == first
    assert (first.root / "kept").exists()
    other = worktree(committed, monkeypatch, 3)
    assert other.root != first.root
    # one that was cut off while it was made is made anew
    first.root.with_name(f".{first.root.name}.ready").unlink()
    assert worktree(committed, monkeypatch, 2) == first
    assert not (first.root / "kept").exists()


def test_a_removed_worktree_can_be_made_again(
    committed: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = worktree(committed, monkeypatch, 2)
    remove_worktree(committed, here.root)
    assert str(here.root) not in shell(committed, "git", "worktree", "list").stdout
    assert worktree(committed, monkeypatch, 2).root.is_dir()


def test_inputs_that_git_does_not_know_are_linked(
    committed: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph_file = committed / "dvc.yaml"
    graph_file.write_text(
        graph_file.read_text().replace(
            "    params: [one]", "    params: [one]\n    deps: [my.jsonl]"
        )
    )
    shell(committed, "git", "commit", "-qam", "own data")
    (committed / "my.jsonl").write_text("{}")
    here = worktree(committed, monkeypatch, 2)
    graph = read_graph(here.root)
    assert [str(path) for path in graph.inputs()] == ["my.jsonl"]
    link_inputs(graph.inputs(), committed, here)
    assert (here.root / "my.jsonl").resolve() == committed / "my.jsonl"
    (here.root / "out").mkdir()
    shell(here.root, "dvc", "repro")


def test_without_a_commit_it_is_refused(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    with pytest.raises(UserError, match="no git commit here"):
        checkout(project, "smoke", [])
