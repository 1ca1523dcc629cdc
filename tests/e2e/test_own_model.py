"""README's second example: an own model, tokenizer and documents, in a worktree, to the report."""

import subprocess
from pathlib import Path

import pytest

from stages.common.files import read_json
from tests.e2e.checkouts import Project, Run, checkout
from tests.e2e.own_model import bring

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
COMMAND = (
    *("repo-pipeline", "run", "--profile", "smoke"),
    *("--set", "base.source=my-model", "--set", "tokenizer.source=my-model"),
    *("--set", "corpus.path=my.jsonl"),
    *("--set", "variants=[repo]"),  # one is enough here
)


@pytest.fixture(scope="module")
def own(project_root: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, Run]:
    project = checkout(project_root, tmp_path_factory.mktemp("own") / "project")
    bring(project.folder)
    return project, project(*COMMAND, REPO_WORKERS="1")  # two are test_smoke's


def git(project: Project, *arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments], cwd=project.folder, capture_output=True, text=True, check=True
    )
    return done.stdout


def test_it_goes_through_to_the_report(own: tuple[Project, Run]) -> None:
    project, done = own
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    assert "niah_single_1" in done.stdout
    (report,) = project.folder.glob("runs/worktrees/smoke-*/report/index.html")
    assert str(report) in done.stdout
    here = report.parents[1]
    config = read_json(here / "models" / "repo-42" / "config.json")
    assert config["model_type"] == "repo_llama"
    assert config["num_key_value_heads"] == 2
    manifest = read_json(here / "data" / "corpus" / "manifest.json")
    assert {shard["source"] for shard in manifest["shards"]} >= {"local"}
    assert "--set" not in (here / "params.yaml").read_text()


def test_the_workspace_is_as_it_was_and_dvc_knows_the_experiment(own: tuple[Project, Run]) -> None:
    project, _ = own
    listed = project("dvc", "exp", "list", "--name-only").stdout.split()
    (folder,) = (path for path in project.folder.glob("runs/worktrees/smoke-*") if path.is_dir())
    assert listed == [folder.name]
    assert not (project.folder / "models").exists()
    assert not (project.folder / "dvc.lock").exists()
    changed = git(project, "status", "--porcelain", "--untracked-files=no")
    assert changed == ""


def test_the_same_command_again_has_nothing_to_do(own: tuple[Project, Run]) -> None:
    project, _ = own
    again = project(*COMMAND)
    assert again.returncode == 0
    assert again.stdout.startswith("nothing to do")


def test_the_experiment_is_brought_into_the_workspace(own: tuple[Project, Run]) -> None:
    project, _ = own
    (name,) = project("dvc", "exp", "list", "--name-only").stdout.split()
    assert project("dvc", "exp", "apply", name).returncode == 0
    assert (project.folder / "report" / "index.html").is_file()
    done = project("repo-pipeline", "run")
    assert done.stdout.startswith("nothing to do"), done.stdout + done.stderr


def test_what_is_left_over_can_go(own: tuple[Project, Run]) -> None:
    project, _ = own
    asked = project("repo-pipeline", "gc")
    assert asked.returncode == 2
    assert "nothing was deleted" in asked.stderr
    assert "worktree: saved" in asked.stdout
    assert "train@repo-42" not in asked.stdout  # went by itself once DVC had its outs
    done = project("repo-pipeline", "gc", "--yes")
    assert done.returncode == 0, done.stderr
    assert not [path for path in project.folder.glob("runs/worktrees/*") if path.is_dir()]
    assert project("repo-pipeline", "gc").stdout == "nothing to delete\n"
    assert project("repo-pipeline", "run").stdout.startswith("nothing to do")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("base.source=no-such-model", "base.source is 'no-such-model'"),
        ("corpus.path=no-such.jsonl", "no-such.jsonl"),
    ],
)
def test_what_is_not_there_is_one_line(own: tuple[Project, Run], given: str, expected: str) -> None:
    project, _ = own
    done = project("repo-pipeline", "run", "--profile", "smoke", "--set", given)
    assert done.returncode == 2, done.stdout + done.stderr
    assert expected in done.stderr
    assert "Traceback" not in done.stderr
