"""What can go, what stays, and that it goes."""

import os
import time
from pathlib import Path

import pytest
from filelock import FileLock

from pipeline.gc import delete, leftovers
from stages.common.files import write_json


@pytest.fixture
def runs(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = project / "runs"
    monkeypatch.setenv("REPO_RUNS", str(folder))
    return folder


def work(runs: Path, name: str, finished: bool, days: float = 0.0) -> Path:
    folder = runs / "train" / name
    folder.mkdir(parents=True)
    (folder / "weights").write_bytes(b"x" * 1000)
    write_json(folder / "state.json", {"label": "train@repo-42", "finished": finished})
    long_ago = time.time() - days * 86400
    os.utime(folder / "state.json", (long_ago, long_ago))
    return folder


def test_finished_and_abandoned_work_can_go_and_no_other(project: Path, runs: Path) -> None:
    done = work(runs, "done", finished=True)
    fresh = work(runs, "fresh", finished=False)
    old = work(runs, "old", finished=False, days=40)
    held = work(runs, "held", finished=True)
    with FileLock(held / ".lock"):
        found = list(leftovers(project, days=30))
    assert {one.path for one in found} == {done, old}
    assert all(one.bytes >= 1000 for one in found)
    assert any("unfinished, not used for 40 days" in one.why for one in found)
    for one in found:
        delete(project, one)
    assert not done.exists()
    assert not old.exists()
    assert fresh.is_dir()
    assert held.is_dir()


def test_old_logs_can_go(project: Path, runs: Path) -> None:
    folder = runs / "logs" / "20200101-000000"
    folder.mkdir(parents=True)
    os.utime(folder, (0, 0))
    (runs / "logs" / "20991231-000000").mkdir()
    assert [one.path for one in leftovers(project, days=30)] == [folder]
