"""Stages as processes: every line, the status, and an end with all they started."""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable
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
    project: Path, shell: Shell
) -> None:
    (project / "one.py").write_text(STATUS)
    lines: list[str] = []
    log = project / "logs" / "one.log"
    ended = process.run_stage(project, "one", process.child_environment(), log, lines.append)
    assert ended == (2, "train.lr is -1: make it positive")
    numbered = [line for line in lines if line.startswith("line ")]
    assert len(numbered) == 3000
    assert numbered[-1] == "line 2999 " + "x" * 200
    assert numbered == [line for line in log.read_text().splitlines() if line.startswith("line ")]


def test_stopping_leaves_no_process(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "_stopping", threading.Event())
    (project / "one.py").write_text(CHILD)
    started = threading.Event()
    result: list[tuple[int, str]] = []

    def run() -> None:
        log = project / "one.log"
        ended = process.run_stage(
            project,
            "one",
            process.child_environment(),
            log,
            lambda line: started.set() if line == "started" else None,
        )
        result.append(ended)

    thread = threading.Thread(target=run)
    thread.start()
    assert started.wait(60)
    until, family = time.monotonic() + 10, []
    # Linux gives a process its command line a moment after Popen has returned.
    while not any("grandchild" in " ".join(p.cmdline()) for p in family):
        assert time.monotonic() < until
        children = psutil.Process().children(recursive=True)
        family = [child for child in children if _works_in(child, project)]
    began = time.monotonic()
    process.stop_all()
    thread.join(20)
    assert time.monotonic() - began < 10
    assert result[0][0] == 75
    assert not [p for p in family if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]


def _works_in(process: psutil.Process, folder: Path) -> bool:
    with contextlib.suppress(psutil.Error):  # DVC's short git commands come and go
        return process.status() != psutil.STATUS_ZOMBIE and process.cwd() == str(folder)
    return False


SAVES = """
import pathlib, signal, subprocess, sys, time
helper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"])
def save(*_):
    time.sleep(process_stop_seconds + 2)
    pathlib.Path("saved").write_text(str(helper.poll()))
    sys.exit(75)
signal.signal(signal.SIGTERM, save)
print("started", flush=True)
time.sleep(300)
"""


def test_a_stage_that_saves_has_its_grace_and_what_it_needs_lives_on(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own process is told; DVC around it and what it started (its Ray) are not, until it ended."""
    monkeypatch.setattr(process, "_stopping", threading.Event())
    monkeypatch.setattr(process, "STOP_SECONDS", 1.0)
    (project / "stages").mkdir()
    (
        project / "stages/__init__.py"
    ).touch()  # else the checkout's own `stages` would be found first
    (project / "stages/slow.py").write_text(SAVES.replace("process_stop_seconds", "1.0"))
    graph = project / "dvc.yaml"
    graph.write_text(graph.read_text().replace("python one.py", "python -m stages.slow", 1))
    lines: list[str] = []
    stopper = threading.Thread(
        target=lambda: (_until(lambda: "started" in lines), process.stop_all())
    )
    stopper.start()
    ended = process.run_stage(
        project, "one", process.child_environment(), project / "one.log", lines.append
    )
    stopper.join()
    process.settled()
    assert ended.code == 75
    assert (project / "saved").read_text() == "None"


def _until(true: Callable[[], bool]) -> None:
    until = time.monotonic() + 60
    while not true() and time.monotonic() < until:
        time.sleep(0.05)


def test_what_dvc_could_not_do_after_a_good_stage_is_a_failure(project: Path) -> None:
    # The stage says that it is done and then misses its out.
    (project / "one.py").write_text(
        "import json, os\n"
        "json.dump({'code': 0, 'line': 'done'}, open(os.environ['REPO_STATUS_FILE'], 'w'))"
    )
    ended = process.run_stage(
        project, "one", process.child_environment(), project / "one.log", lambda line: None
    )
    assert ended.code == 1
    assert "out/one" in ended.line


def test_two_runs_of_one_stage_take_turns(project: Path) -> None:
    (project / "one.py").write_text(
        "import time; open('started', 'a').write('x'); time.sleep(3); open('out/one', 'w').write('1')"
    )
    ended: list[tuple[int, str]] = []
    said: list[str] = []

    def run() -> None:
        environment, log = process.child_environment(), project / "one.log"
        ended.append(process.run_stage(project, "one", environment, log, said.append))

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert [code for code, _ in ended] == [0, 0]
    assert "waits for another run that is at this stage" in said
    assert (project / "started").read_text() == "x"  # the second one found nothing to do


def test_a_wish_to_stop_that_comes_by_two_ways_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """GNU timeout tells a process and its group: a second raise would end the wait for what saves."""
    from pipeline import stopping
    from stages.common import wish

    told: list[str] = []
    with pytest.raises(KeyboardInterrupt), stopping._on_signals(lambda: told.append("stop")):
        monkeypatch.setattr(stopping, "saving", lambda: True)
        monkeypatch.setattr(stopping, "hurry", lambda: told.append("hurry"))
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGHUP)
        monkeypatch.setattr(wish, "AGAIN_S", 0.0)
        os.kill(os.getpid(), signal.SIGINT)
        assert told == ["stop", "hurry"]
        monkeypatch.setattr(stopping, "saving", lambda: False)
        os.kill(os.getpid(), signal.SIGINT)


def test_a_stage_that_outlives_dvc_s_host_is_tried_again_and_found_done(
    project: Path, shell: Shell
) -> None:
    done = "json.dump({'code': 0, 'line': 'done'}, open(os.environ['REPO_STATUS_FILE'], 'w'))"
    wait = "while not os.path.exists('go'): time.sleep(0.05)"
    (project / "one.py").write_text(
        f"import json, os, time\nprint('started', flush=True)\n{wait}\n"
        f"open('out/one', 'w').write('1')\n{done}\n"
    )

    def killed(line: str) -> None:
        if line == "started":
            (child,) = process._live
            os.kill(psutil.Process(child.pid).ppid(), signal.SIGKILL)
            (project / "go").touch()

    environment, log = process.child_environment(), project / "log"
    ended = process.run_stage(project, "one", environment, log, killed)
    assert ended == (75, "ended by signal 9")
    said: list[str] = []
    assert process.run_stage(project, "one", environment, log, said.append).code == 0
    assert "started" not in said
