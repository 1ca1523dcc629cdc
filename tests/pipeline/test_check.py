"""The check as a user meets it: the real command, exit 2, one line, nothing written."""

import os
import shutil
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest

from pipeline import check
from pipeline.check import needed
from pipeline.estimate.planned import machines, planned, render
from pipeline.overrides import compose
from pipeline.plan import Action, Decision
from stages.common.errors import UserError
from tests.stages.checks.conftest import write_model, write_texts

OWN = ("--set", "base.source=my-model", "--set", "corpus.path=my.jsonl")
NONSENSE = {
    "start layer": (("plan", *OWN, "--set", "train.start_layer=31"), {}, "train.start_layer is 31"),
    "passes": (("plan", *OWN, "--set", "train.tokens=50000000000"), {}, "passes over the"),
    "no file": (("run", *OWN[:2], "--set", "corpus.path=gone.jsonl"), {}, "'gone.jsonl': no such"),
    "no model": (("use", "smoke", "--set", "base.source=nowhere"), {}, "'nowhere': no such folder"),
    "no name": (("plan", "--set", "base.source=''"), {}, "base.source is ''"),
    "longbench": (("run", "--set", "benchmarks.longbench.path=lb"), {}, "longbench.path is 'lb'"),
    "variable": (("run",), {"REPO_CPUS": "two"}, "REPO_CPUS is 'two'"),
    "slip": (("plan",), {"REPO_WOKERS": "2"}, "use REPO_WORKERS"),
    "submit": (
        ("submit", "--address", "http://127.0.0.1:1", "--set", "train.lr=5"),
        {},
        "train.lr is 5.0",
    ),
    "years": (("plan", "--profile", "olmo2-1b"), {}, "years there"),
}


@pytest.fixture
def project(project_root: Path, tmp_path: Path) -> Path:
    """A commit of the real graph with smoke's params, an own model and documents beside it."""
    for name in ("dvc.yaml", ".gitignore", ".dvcignore"):
        shutil.copy(project_root / name, tmp_path / name)
    shutil.copytree(project_root / ".dvc", tmp_path / ".dvc", ignore=lambda *_: ["cache", "tmp"])
    smoke = project_root / "pipeline" / "profiles" / "smoke.yaml"
    shutil.copy(smoke, tmp_path / "params.yaml")
    for name in ("stages", "repo_model", "pipeline"):
        (tmp_path / name).symlink_to(project_root / name)
    write_model(tmp_path / "my-model")
    write_texts(tmp_path / "my.jsonl")
    identity = ("-c", "user.name=t", "-c", "user.email=t@localhost")
    for command in (("init", "-q"), ("add", "-A"), (*identity, "commit", "-qm", "all")):
        subprocess.run(["git", *command], cwd=tmp_path, check=True, capture_output=True)
    return tmp_path


def files(folder: Path) -> list[str]:
    return sorted(str(path) for path in folder.rglob("*") if ".git/" not in str(path))


@pytest.mark.parametrize("name", NONSENSE)
def test_nonsense_is_one_line_and_nothing_is_written(name: str, project: Path) -> None:
    options, variables, said = NONSENSE[name]
    before = files(project)
    done = subprocess.run(
        [sys.executable, "-m", "pipeline.cli", *options],
        cwd=project, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **variables},
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert files(project) == before


def test_a_plan_shows_every_warning_once(project: Path) -> None:
    settings = ["base.source=my-model", "corpus.path=my.jsonl", "train.lr=0.005"]
    found = planned(project, [], machines(), "smoke", settings)
    assert [one.field for one in found.warnings if one.level == "warn"] == ["train.lr"]
    assert render(found, as_json=False).count("warning: train.lr is 0.005") == 1


def test_the_stages_that_a_target_needs_are_found_without_dvc(project_root: Path) -> None:
    assert needed(project_root, ["tokenize"]) == ["corpus", "tokenizer", "tokenize"]
    found = needed(project_root, ["extend@repo-42"])
    assert "train" in found
    assert "benchmarks" not in found
    assert "report" in needed(project_root, ())


@pytest.mark.parametrize(
    ("action", "refused"), [("run", True), ("reuse", False), ("restore", False)]
)
def test_what_comes_back_needs_no_more_what_it_was_made_of(
    project: Path, action: Action, refused: bool
) -> None:
    shutil.rmtree(project / "my-model")
    text = compose(project, "smoke", ["base.source=my-model"], [])
    seen = check.seen_here(check.read(project, text), project)
    with pytest.raises(UserError, match="my-model") if refused else nullcontext():
        check.decided(seen, {"base": Decision(action, "")})
