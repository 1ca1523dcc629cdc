"""Where the last run on this machine stands, while it lives and after it was killed."""

import subprocess
import sys
from pathlib import Path

import pytest

from pipeline import local
from pipeline.events import emit
from pipeline.remote.commands import status
from stages.common.errors import UserError
from stages.common.files import read_json, write_json

LOGS = Path("logs") / "20260101-000000"


def test_a_run_that_lives_and_how_it_ended(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), local.recorded(tmp_path / LOGS, "smoke"):
        emit("corpus", "skipped", "nothing changed")
        emit("train@repo-1", "planned", "run: never ran here")
        emit("train@repo-1", "progress", "train: 5 tokens of 10, 50 %, 1/s")
        first, stage, logs = local.lines(tmp_path)
        assert first.startswith("on this machine: smoke: running for ")
        assert stage.split()[:2] == ["train@repo-1", "progress"]
        assert logs.endswith(LOGS.name)
        raise RuntimeError("Ray's head is\ngone")
    emit("train@repo-1", "failed", "nobody keeps it now")
    first, stage, _ = local.lines(tmp_path)
    assert first.startswith("on this machine: smoke: failed after ")
    assert r"Ray's head is\ngone" in first
    assert "progress" in stage


def test_a_run_that_was_killed(tmp_path: Path) -> None:
    with local.recorded(tmp_path / LOGS, "full"):
        emit("base", "running", "run: never ran here")
        run = read_json(tmp_path / LOGS / local.RUN)
    child = subprocess.run(
        [sys.executable, "-c", "from stages.common import guard; print(guard.mark())"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    write_json(tmp_path / LOGS / local.RUN, {**run, "process": child.stdout.strip()})
    with (tmp_path / LOGS / local.EVENTS).open("a") as file:
        file.write('{"time": "2026-')  # it was writing when it was killed
    first, stage, _ = local.lines(tmp_path)
    assert "killed after" in first and "goes on from there" in first
    assert stage.split()[:2] == ["base", "running"]


def test_status_without_a_cluster(
    project: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(project)
    monkeypatch.setenv("REPO_RUNS", str(tmp_path / "runs"))
    for name in ("REPO_CLUSTER", "RAY_API_SERVER_ADDRESS", "RAY_ADDRESS"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(UserError):
        status()
    with local.recorded(tmp_path / "runs" / LOGS, "full"):
        status()
    assert "full: running for" in capsys.readouterr().out
