"""Stages as processes: every line, the status, and an end with all they started."""

import os
import threading
import time
from pathlib import Path

import psutil
import pytest

from pipeline import process
from tests.pipeline.conftest import Shell

STATUS = """
import json, os, sys
for number in range(3000): print("line", number, "x" * 200)
status = {"code": 2, "line": "train.lr is -1: make it positive"}
json.dump(status, open(os.environ["REPO_STATUS_FILE"], "w"))
sys.exit(2)
"""
CHILD = """
import subprocess, sys, time
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)  # grandchild"])
print("started", flush=True)
time.sleep(300)
"""


def test_every_line_is_kept_and_the_stage_s_own_status_wins_over_dvc_s(
    project: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)
    (project / "one.py").write_text(STATUS)
    lines: list[str] = []
    log = project / "logs" / "one.log"
    ended = process.run_stage("one", process.child_environment(), log, lines.append)
    assert ended == (2, "train.lr is -1: make it positive")
    numbered = [line for line in lines if line.startswith("line ")]
    assert len(numbered) == 3000
    assert numbered[-1] == "line 2999 " + "x" * 200
    assert numbered == [line for line in log.read_text().splitlines() if line.startswith("line ")]


def test_stopping_leaves_no_process(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    monkeypatch.setattr(process, "_stopping", threading.Event())
    (project / "one.py").write_text(CHILD)
    started = threading.Event()
    result: list[tuple[int, str]] = []

    def run() -> None:
        log = project / "one.log"
        ended = process.run_stage(
            "one",
            process.child_environment(),
            log,
            lambda line: started.set() if line == "started" else None,
        )
        result.append(ended)

    thread = threading.Thread(target=run)
    thread.start()
    assert started.wait(60)
    family = psutil.Process(os.getpid()).children(recursive=True)
    assert any("grandchild" in " ".join(p.cmdline()) for p in family)
    began = time.monotonic()
    process.stop_all()
    thread.join(20)
    assert time.monotonic() - began < 10
    assert result[0][0] == 75
    assert not [p for p in family if p.is_running() and "sleep(300)" in " ".join(p.cmdline())]
