"""What the suite says while it runs, how three processes share it, and what it leaves behind: nothing.

``tests/conftest.py`` registers it. One line a test file with its seconds; under pytest-xdist the tests
of one resource stay in one process.
"""

import os
import signal
import time
import uuid
from collections import Counter, defaultdict
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Any

import psutil
import pytest

MARK = "PYTEST_SUITE_ID"
"""Stands in the environment of every process that the suite starts, whatever its parent."""
FIRST = ("served", "ray", "own")
"""The longest groups: one each for the first three processes."""


def group(nodeid: str, root: Path) -> str:
    """The group of a test: tests of one group run in one process, one after the other."""
    file = nodeid.partition("::")[0]
    if file.endswith("tests/e2e/test_own_model.py"):
        return "own"
    if file.startswith("tests/e2e/"):
        return "served"
    return "ray" if needs_ray(root / file) else file


@cache
def needs_ray(file: Path) -> bool:
    """Whether a test file names Ray's fixture or mark, or the training runs that a file with Ray looks
    at as well (a minute per process): both sides of pytest-xdist can read that."""
    text = file.read_text(encoding="utf-8") if file.is_file() else ""
    return any(word in text for word in ("ray_session", "mark.ray", ": Runs"))


def order(groups: Sequence[str], root: Path = Path()) -> list[str]:
    """The groups without repetition, in the order in which processes should take them.

    The longest first, and slow files before the others: what is left at the end is short, so that no
    process waits long for the last one.
    """
    known = list(dict.fromkeys(groups))
    rest = [name for name in known if name not in FIRST]
    rest.sort(key=lambda name: not _is_slow(root / name))
    return [*(name for name in FIRST if name in known), *rest]


def _is_slow(file: Path) -> bool:
    """Whether a test file has a test of more than 20 s, by its own word."""
    return file.is_file() and "mark.slow" in file.read_text(encoding="utf-8")


class Talking:
    """The plugin; in a process of pytest-xdist it only groups the tests."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._worker = hasattr(config, "workerinput")
        self._outermost = not self._worker and MARK not in os.environ
        if self._outermost:
            os.environ[MARK] = uuid.uuid4().hex
            signal.signal(signal.SIGTERM, _interrupt)
        self._left: Counter[str] = Counter()
        self._seconds: dict[str, float] = defaultdict(float)
        self._failed: Counter[str] = Counter()
        self._started = time.monotonic()
        self._kept: Any = None

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Put the groups in order; one process alone keeps pytest's order."""
        if self._worker:
            root = self._config.rootpath
            groups = {item: group(item.nodeid, root) for item in items}
            place = {name: number for number, name in enumerate(order(list(groups.values()), root))}
            items.sort(key=lambda item: place[groups[item]])

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_make_scheduler(self, config: pytest.Config, log: Any) -> Any:
        """Hand out whole groups (``--dist loadgroup`` of 3.8 does nothing under pytest 9.2)."""
        from xdist.scheduler import LoadScopeScheduling

        class Groups(LoadScopeScheduling):
            def _split_scope(self, nodeid: str) -> str:
                return group(nodeid, config.rootpath)

        return Groups(config, log)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Count the tests of each file (without pytest-xdist)."""
        self._left.update(_file(item.nodeid) for item in session.items)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, node: Any, ids: list[str]) -> None:
        """Count the tests of each file (with it: every process collects all)."""
        self._left = Counter(_file(nodeid) for nodeid in ids)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Add up a file's seconds, and say them as its last test ends."""
        if self._worker:
            return
        file = _file(report.nodeid)
        self._seconds[file] += report.duration
        self._failed[file] += report.failed
        self._keep(report)
        if report.when != "teardown":
            return
        self._left[file] -= 1
        if self._left[file] == 0:
            self._say(file)

    def _say(self, file: str) -> None:
        terminal = self._config.pluginmanager.get_plugin("terminalreporter")
        if terminal is None:
            return
        bad = f"  {self._failed[file]} failed" if self._failed[file] else ""
        since = time.monotonic() - self._started
        terminal.ensure_newline()
        terminal.write_line(f"{since:6.0f} s  {self._seconds[file]:6.1f} s  {file}{bad}")

    def _keep(self, report: pytest.TestReport) -> None:
        """Write the seconds down at once, so that a run that is cut leaves them."""
        if self._kept is None:
            cache = getattr(self._config, "cache", None)
            if cache is None:
                return
            path = cache.mkdir("durations") / "last.tsv"
            self._kept = open(path, "w", buffering=1, encoding="utf-8")  # noqa: SIM115
        self._kept.write(f"{report.duration:.2f}\t{report.when}\t{report.nodeid}\n")

    def pytest_keyboard_interrupt(self) -> None:
        """Do not wait for the tests that run: pytest-xdist would, for as long as they take."""
        if self._outermost:
            end_all(os.environ[MARK])

    @pytest.hookimpl(trylast=True)
    def pytest_unconfigure(self) -> None:
        """End every process that the suite started and that is still there."""
        if self._kept is not None:
            self._kept.close()
        if self._outermost:
            end_all(os.environ.pop(MARK))


def end_all(mark: str) -> int:
    """End all processes, but this one, that carry ``mark``; how many there were."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and process.environ().get(MARK) == mark:
                found.append(process)
        except psutil.Error:
            continue
    for process in found:
        _signal(process, signal.SIGTERM)
    _, alive = psutil.wait_procs(found, timeout=5)
    for process in alive:
        _signal(process, signal.SIGKILL)
    return len(found)


def _signal(process: psutil.Process, number: signal.Signals) -> None:
    try:
        process.send_signal(number)
    except psutil.Error:
        return


def _file(nodeid: str) -> str:
    return nodeid.partition("::")[0]


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
