"""The commands that work without DVC: passed on as they are, their exit codes passed back."""

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from pipeline import work


@pytest.fixture
def app() -> typer.Typer:
    made = typer.Typer()
    work.register(made)
    return made


def test_a_command_is_a_process_with_its_own_options(
    app: typer.Typer, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "predictions.jsonl"
    file.write_text('{"outputs": ["a", "b"], "pred": "A"}\n')
    done = CliRunner().invoke(app, ["score", str(file), "--task", "vt", "--json"])
    assert done.exit_code == 0
    assert json.loads(capfd.readouterr().out) == {"task": "vt", "n": 1, "score": 50.0}


def test_the_exit_code_and_the_line_come_back(
    app: typer.Typer, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    done = CliRunner().invoke(app, ["score", str(tmp_path / "none"), "--task", "vt"])
    assert done.exit_code == 2
    shown = capfd.readouterr()
    assert shown.err.startswith("repo-pipeline: ")
    assert shown.err.count("\n") == 1


def test_help_is_the_modules_own(app: typer.Typer, capfd: pytest.CaptureFixture[str]) -> None:
    assert CliRunner().invoke(app, ["evaluate", "--help"]).exit_code == 0
    assert "--suite" in capfd.readouterr().out
