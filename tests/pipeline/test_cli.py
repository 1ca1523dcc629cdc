"""Exit codes and one-line errors of the command, as a process sees them."""

import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.use import profiles
from pipeline.work import COMMANDS


def call(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pipeline.cli", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["run", "--profile", "huge"], "profile 'huge': unknown; there are"),
        (["run", "--set", "train.lr"], "write KEY=VALUE"),
        (["plan", "--nonsense"], "No such option"),
        (["use", "huge"], "profile 'huge': unknown"),
        (["serve", "--port", "99999"], "Invalid value for '--port'"),
        (["gc", "--days", "x"], "Invalid value for '--days'"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(
    project: Path, arguments: list[str], expected: str
) -> None:
    (project / "params.yaml").write_text(profiles()["smoke"])
    done = call(project, *arguments)
    assert done.returncode == 2, done.stderr
    assert expected in done.stderr
    assert "Traceback" not in done.stderr


def test_a_folder_without_a_project(tmp_path: Path) -> None:
    done = call(tmp_path, "plan")
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1


def test_every_command_stands_in_one_group_of_the_help() -> None:
    from pipeline.cli import GROUPS, app

    named = [name for names in GROUPS.values() for name in names]
    there = [one.name or one.callback.__name__ for one in app.registered_commands if one.callback]
    assert sorted(named) == sorted(there)


def test_plan_and_the_modules_of_stages_have_one_look(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Choices and defaults are listed, and no line is wider than 80 columns."""
    from pipeline.cli import app

    monkeypatch.setenv("COLUMNS", "80")
    for name in ("plan", *COMMANDS):
        if name in COMMANDS:
            with pytest.raises(SystemExit) as end:
                importlib.import_module(COMMANDS[name][0]).main(["--help"])
            assert end.value.code == 0
        else:
            app([name, "--help"], prog_name="repo-pipeline", standalone_mode=False)
        text = capsys.readouterr().out
        assert text.startswith(f"Usage: repo-pipeline {name} [OPTIONS]")
        assert "\nOptions:\n  --" in text
        assert max(map(len, text.splitlines())) <= 80
        if name == "evaluate":
            assert "[one of: nvidia, repo-paper] [default: nvidia]" in " ".join(text.split())


def test_the_version_names_the_commit(project_root: Path, tmp_path: Path) -> None:
    from pipeline import git

    done = call(tmp_path, "--version")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("repo-pipeline 0.")
    assert git.head(project_root)[:7] in done.stdout


def test_the_doctor_s_exit_code_says_whether_something_is_wrong(project: Path) -> None:
    (project / "params.yaml").write_text("nonsense: 1\n")
    done = call(project, "doctor")
    assert done.returncode == 1
    assert "fix:" in done.stdout


def test_what_is_refused_makes_no_folder(tmp_path: Path) -> None:
    rows = tmp_path / "predictions.jsonl"
    rows.write_text('{"outputs": ["a"], "pred": "a"}\n')
    assert call(tmp_path, "score", rows.name, "--task", "vt").returncode == 0
    assert call(tmp_path, "samples", "--task", "none").returncode == 2
    assert call(tmp_path, "evaluate", "./nowhere").returncode == 2
    assert call(tmp_path, "plan").returncode == 2
    assert call(tmp_path, "run").returncode == 2
    assert [file.name for file in tmp_path.iterdir()] == [rows.name]
