"""DVC's commands as forks of a process that has imported it."""

import contextlib
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from pipeline.dvc_child import DvcChild
from tests.pipeline.conftest import Shell

ROOT = Path(__file__).parents[2]
WAITS = "import os, time\nopen('pid', 'w').write(str(os.getpid()))\ntime.sleep(300)\n"


def ended(child: DvcChild) -> tuple[int, str]:
    said = child.stdout.read()
    return child.wait(), said


@pytest.fixture
def variables(shell: Shell) -> dict[str, str]:
    return dict(os.environ)  # with this environment's programs first on PATH


def test_it_is_dvc_in_its_folder_with_its_variables_and_exit_code(
    project: Path, variables: dict[str, str]
) -> None:
    (project / "one.py").write_text(
        "import os, pathlib\nprint('told', os.environ['TOLD'], 'HOME' in os.environ, os.getcwd())\n"
        "pathlib.Path('out/one').write_text('1')\n"
    )
    variables = {k: v for k, v in variables.items() if k != "HOME"}
    code, said = ended(DvcChild(["repro", "one"], project, {**variables, "TOLD": "x y\nz"}))
    assert code == 0, said
    assert f"told x y\nz False {project}" in said
    assert (project / "dvc.lock").is_file()
    code, said = ended(DvcChild(["repro", "nowhere"], project, variables))
    assert code == 255
    assert "nowhere" in said and "Traceback" not in said


def test_commands_run_beside_each_other_in_one_process_s_forks(
    project: Path, variables: dict[str, str]
) -> None:
    children = [DvcChild(["version"], project, variables) for _ in range(3)]
    parents = {psutil.Process(child.pid).ppid() for child in children}
    assert len(parents) == 1 and parents != {os.getpid()}
    sessions: dict[int, int] = {}
    until = time.monotonic() + 60
    while len(set(sessions.values())) < 3:  # each begins its own, soon after it is forked
        assert time.monotonic() < until
        for child in children:
            with contextlib.suppress(ProcessLookupError):
                sessions[child.pid] = os.getsid(child.pid)
    assert [ended(child)[0] for child in children] == [0, 0, 0]
    (host,) = parents
    assert not [p for p in psutil.Process(host).children() if p.status() == psutil.STATUS_ZOMBIE]


@pytest.mark.parametrize("whom", ["command", "host"])
def test_a_signal_is_its_exit_code_and_the_next_command_runs(
    project: Path, variables: dict[str, str], whom: str
) -> None:
    (project / "one.py").write_text(WAITS)
    child = DvcChild(["repro", "one"], project, variables)
    until = time.monotonic() + 60
    while not (project / "pid").exists():
        assert time.monotonic() < until
        time.sleep(0.05)
    family = psutil.Process(child.pid).children(recursive=True)
    host = psutil.Process(child.pid).ppid()
    if whom == "host":
        os.kill(host, signal.SIGKILL)
        assert psutil.pid_exists(child.pid)  # what it does is not lost
    os.kill(child.pid, signal.SIGKILL)
    for process in family:
        process.kill()
    assert child.wait() == -signal.SIGKILL
    code, said = ended(DvcChild(["version"], project, variables))
    assert code == 0 and "DVC version" in said
    assert (psutil.Process(host).is_running() if psutil.pid_exists(host) else False) == (
        whom == "command"
    )


def test_a_terminal_s_colours_are_in_no_line(project: Path, variables: dict[str, str]) -> None:
    """DVC looks at standard error as it is imported; `ERROR: ` is what a failure is known by."""
    code = (
        "import os\nfrom pathlib import Path\nfrom pipeline.dvc_child import DvcChild\n"
        "child = DvcChild(['repro', 'nowhere'], Path.cwd(), dict(os.environ))\n"
        "print(repr(child.stdout.read()), child.wait())\n"
    )
    ours, terminal = pty.openpty()
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=project,
        env={**variables, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=terminal,
        text=True,
        check=True,
    )
    for number in (ours, terminal):
        os.close(number)
    assert done.stdout[1:].startswith("ERROR: ")
    assert "x1b" not in done.stdout


def test_the_host_ends_with_who_asked(tmp_path: Path, variables: dict[str, str]) -> None:
    code = (
        "import os\nfrom pathlib import Path\nfrom pipeline.dvc_child import DvcChild\n"
        "child = DvcChild(['version'], Path.cwd(), dict(os.environ))\nchild.stdout.read()\n"
        "child.wait()\nfrom pipeline import dvc_child\nprint(dvc_child._host.process.pid, flush=True)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**variables, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    host, until = int(done.stdout), time.monotonic() + 30
    while psutil.pid_exists(host) and psutil.Process(host).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < until
        time.sleep(0.05)
