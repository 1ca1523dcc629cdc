"""Commands started where the project is not: a subfolder of it, another folder, one that is gone."""

import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.cli import GROUPS
from tests.pipeline.conftest import project, shell, template

__all__ = ["project", "shell", "template"]  # fixtures
ROOT = Path(__file__).parents[2]

OF_A_PROJECT = {
    "run": (["run"], ["run", "--profile", "smoke"], ["run", "--set", "seeds=[1]"]),
    "plan": (["plan"], ["plan", "--profile", "smoke"], ["plan", "--set", "seeds=[1]"]),
    "use": (["use", "smoke"], ["use", "--migrate"]),
    "serve": (["serve"],),
    "gc": (["gc"],),
    "sample": (["sample", "niah_single_1-512-0000"],),
    "submit": (["submit", "--address", "http://127.0.0.1:9"], ["submit", "--slurm"]),
    "status": (["status"],),
    "logs": (["logs"],),
    "cancel": (["cancel"],),
    "fetch": (["fetch"], ["fetch", "smoke-1"]),
}
"""Calls that need the project's root."""
ANYWHERE = {
    "doctor": (["doctor"], 0, "project"),
    "report": (["report", "--help"], 0, "--compare"),
    "export": (["export", "--help"], 0, "MODEL"),
    "evaluate": (["evaluate", "--help"], 0, "--suite"),
    "samples": (["samples", "--task", "vt", "--num", "1", "--length", "64"], 2, "--tokenizer"),
    "score": (["score", "rows.jsonl", "--task", "vt", "--json"], 0, '"score": 100'),
    "reproduce": (["reproduce", "--help"], 0, "--row"),
    "--version": (["--version"], 0, "repo-pipeline 0."),
    "--help": (["--help"], 0, "Run on a cluster"),
}
"""Calls that do not: arguments, exit code, what they say."""


def _subfolder(project: Path) -> tuple[Path, Path]:
    folder = project / "my notes" / "deep"
    folder.mkdir(parents=True)
    return folder, project


def _other(project: Path) -> tuple[Path, Path]:
    folder = project.parent / "other"
    folder.mkdir()
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    return folder, ROOT


def _foreign(project: Path) -> tuple[Path, Path]:
    folder = project.parent / "foreign"
    folder.mkdir()
    (folder / "dvc.yaml").write_text("stages:\n  train: {cmd: touch paid, outs: [paid]}\n")
    (folder / "params.yaml").write_text("lr: 1\n")
    for command in (["git", "init", "-q"], ["git", "add", "-A"], [*COMMIT, "-m", "all"]):
        subprocess.run(command, cwd=folder, check=True)
    return folder, ROOT


COMMIT = ["git", "-c", "user.name=t", "-c", "user.email=t@t", "commit", "-q"]
PLACES: dict[str, Callable[[Path], tuple[Path, Path]]] = {
    "subfolder": _subfolder,
    "other": _other,
    "another project of DVC's": _foreign,
}
"""From a project: a folder in or beside it, and the root that a line must name there."""


def call(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("REPO_", "RAY_"))}
    return subprocess.run(
        [sys.executable, "-m", "pipeline.cli", *arguments],
        cwd=folder,
        env={**environment, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_every_command_is_in_one_of_the_tables() -> None:
    named = {name for names in GROUPS.values() for name in names}
    assert named == {*OF_A_PROJECT, *(name for name in ANYWHERE if not name.startswith("-"))}


@pytest.mark.parametrize("command", OF_A_PROJECT)
@pytest.mark.parametrize("place", PLACES)
def test_what_needs_the_project_names_its_root_and_writes_nothing(
    project: Path, place: str, command: str
) -> None:
    folder, root = PLACES[place](project)
    before = sorted(folder.iterdir())
    for arguments in OF_A_PROJECT[command]:
        done = call(folder, *arguments)
        (line,) = done.stderr.splitlines()
        assert (done.returncode, done.stdout) == (2, ""), arguments
        assert line.endswith(f": cd {shlex.quote(str(root))}"), arguments
    assert sorted(folder.iterdir()) == before
    if place == "other":
        done = call(folder, command, "--help")
        assert done.returncode == 0 and f" {command} [OPTIONS]" in done.stdout


@pytest.mark.parametrize("command", ANYWHERE)
@pytest.mark.parametrize("place", PLACES)
def test_what_needs_none_works_anywhere(project: Path, place: str, command: str) -> None:
    folder, _ = PLACES[place](project)
    (folder / "rows.jsonl").write_text('{"outputs": ["a"], "pred": "a"}\n')
    before = sorted(folder.iterdir())
    arguments, code, said = ANYWHERE[command]
    done = call(folder, *arguments)
    assert done.returncode == code and said in done.stdout + done.stderr, done.stderr
    assert "Traceback" not in done.stderr
    assert sorted(folder.iterdir()) == before


@pytest.mark.parametrize("command", [["run"], ["plan"], ["--help"], ["score", "x"], ["doctor"]])
def test_a_working_directory_that_is_gone_is_one_line(tmp_path: Path, command: list[str]) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    script = (
        f'rmdir "$PWD"; exec {shlex.quote(sys.executable)} {ROOT}/pipeline/bin/repo-pipeline "$@"'
    )
    done = subprocess.run(
        ["bash", "-c", script, "x", *command],
        cwd=gone,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    (line,) = done.stderr.splitlines()
    assert done.returncode == 2 and "the working directory" in line, line
