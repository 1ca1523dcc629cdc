"""The suite itself: its groups, its lines, and that it ends what it started, also when it is cut."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.talking import MARK, group, order

SPREAD = ("-n", "2", "--dist", "loadscope", "--no-loadscope-reorder")
"""As in the Makefile. In pytest-xdist's own order a process that gets no group is waited for, 10 s."""
INNER = {
    "conftest.py": "from tests.talking import Talking\n"
    "def pytest_configure(config):\n    config.pluginmanager.register(Talking(config), 'talking')\n",
    "test_a.py": "def test_one(): pass\ndef test_two(): pass\n",
    "test_b.py": "import os, subprocess, sys, time\n"
    "def test_long():\n"
    "    child = subprocess.Popen(['sleep', '600'], start_new_session=True)\n"
    "    open(os.environ['TOLD'], 'w').write(str(child.pid) + '\\n')\n"
    "    time.sleep(600)\n",
}


def start(folder: Path, *arguments: str) -> "subprocess.Popen[str]":
    for name, text in INNER.items():
        (folder / name).write_text(text)
    kept = {name: value for name, value in os.environ.items() if name != MARK}
    for name in ("PYTEST_XDIST_WORKER", "PYTEST_XDIST_TESTRUNUID", "PYTEST_XDIST_WORKER_COUNT"):
        kept.pop(name, None)
    root = Path(__file__).parents[1]
    return subprocess.Popen(
        [sys.executable, "-m", "pytest", "-q", "-c", "/dev/null", *arguments],
        cwd=folder,
        env={**kept, "PYTHONPATH": str(root), "TOLD": str(folder / "told")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.mark.parametrize("arguments", [(), SPREAD])
def test_a_file_is_one_line_as_it_ends(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    out, _ = start(tmp_path, "--rootdir", str(tmp_path), *arguments, "test_a.py").communicate()
    lines = [line for line in out.splitlines() if line.endswith("  test_a.py")]
    assert len(lines) == 1, out
    assert "2 passed" in out


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("arguments", [(), SPREAD])
def test_what_it_started_ends_with_it(
    tmp_path: Path, number: signal.Signals, arguments: tuple[str, ...]
) -> None:
    suite = start(tmp_path, "--rootdir", str(tmp_path), *arguments)
    told, until = tmp_path / "told", time.monotonic() + 120
    while not (told.is_file() and told.read_text().endswith("\n")):
        assert suite.poll() is None and time.monotonic() < until, suite.communicate()[0]
        time.sleep(0.1)
    suite.send_signal(number)
    out, _ = suite.communicate(timeout=120)
    assert suite.returncode == pytest.ExitCode.INTERRUPTED, out
    assert not psutil.pid_exists(int(told.read_text())), out
    kept = tmp_path / ".pytest_cache" / "d" / "durations" / "last.tsv"
    assert "test_one" in kept.read_text()


def test_tests_of_one_resource_are_one_group_and_the_longest_go_first(tmp_path: Path) -> None:
    root = Path(__file__).parents[1]
    assert group("tests/e2e/test_smoke.py::test_x", root) == "served"
    assert group("tests/stages/train/test_train_stage.py::test_x", root) == "ray"
    for file in ("test_loop", "test_zero"):  # one set of runs
        assert group(f"tests/stages/training/{file}.py::test_x", root) == "ray"
    assert group("tests/test_arrows.py::test_x", root) == "tests/test_arrows.py"
    names = ["a", "b", "own", "c", "ray", "served", "a"]
    assert order(names) == ["served", "ray", "own", "a", "b", "c"]
    (tmp_path / "c").write_text("@pytest.mark.slow\n")
    assert order(names, tmp_path) == ["served", "ray", "own", "c", "a", "b"]


def test_a_file_stays_in_one_process_and_both_are_used(tmp_path: Path) -> None:
    asks = "import os, pytest\n@pytest.mark.parametrize('n', range(8))\ndef test_x(n):\n"
    asks += "    open(__file__ + os.environ['PYTEST_XDIST_WORKER'], 'w')\n"
    for name in "cdef":
        (tmp_path / f"test_{name}.py").write_text(asks)
    files = [f"test_{name}.py" for name in "cdef"]
    out, _ = start(tmp_path, "--rootdir", str(tmp_path), *SPREAD, *files).communicate()
    assert "32 passed" in out
    told = [path.name for path in tmp_path.glob("test_*gw*")]
    assert len(told) == 4, told
    assert {name[-3:] for name in told} == {"gw0", "gw1"}
