"""Resumable state: its key, its lock, its errors."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.use import profiles
from stages.common import runs
from stages.common.errors import TryAgain, UserError
from stages.common.stage import Job
from stages.extend.stage import STAGE
from stages.params import load


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Job:
    monkeypatch.setenv("REPO_RUNS", str(tmp_path / "runs"))
    (tmp_path / "params.yaml").write_text(profiles()["smoke"])
    return Job(STAGE, load(tmp_path / "params.yaml"), "rope", 1)


def test_the_key_follows_params_inputs_version_and_item(job: Job, tmp_path: Path) -> None:
    source = tmp_path / "input"
    source.mkdir()
    (source / "file").write_text("a")
    first = runs.key(job, [source])
    assert runs.key(job, [source]) == first
    other_params = job.params.model_copy(
        update={"extend": job.params.extend.model_copy(update={"factor": 2.0})}
    )
    unread = job.params.model_copy(update={"profile": "other"})
    assert runs.key(replace(job, params=unread), [source]) == first
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").write_text("a")
    changed = {
        runs.key(replace(job, params=other_params), [source]),
        runs.key(replace(job, seed=2), [source]),
        runs.key(replace(job, variant="repo"), [source]),
        runs.key(replace(job, stage=replace(STAGE, version=99)), [source]),
    }
    (source / "file").write_text("b")
    changed.add(runs.key(job, [source]))
    assert first not in changed
    assert len(changed) == 5


def test_a_second_live_owner_is_asked_to_try_again(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "LOCK_WAIT_S", 0.2)
    with runs.workspace(job, []) as folder:
        lock = f"FileLock({str(folder / '.lock')!r}, timeout=0.2)"
        hold = f"from filelock import FileLock; {lock}.acquire()"
        held = subprocess.run([sys.executable, "-c", hold], capture_output=True, text=True)
        assert "Timeout" in held.stderr
    code = (
        f"import time; from filelock import FileLock;"
        f"lock = FileLock({str(folder / '.lock')!r}); lock.acquire();"
        "print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        match = "another run of extend@rope-1 holds it"
        with pytest.raises(TryAgain, match=match), runs.workspace(job, []):
            pass
        other.kill()  # kill -9: the lock goes with the process
    with runs.workspace(job, []):
        pass


def test_runs_that_cannot_be_used_are_named(
    job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REPO_RUNS", "s3://bucket/runs")
    with pytest.raises(UserError, match=r"REPO_RUNS is 's3://bucket/runs'"):
        runs.root()
    (tmp_path / "file").touch()
    monkeypatch.setenv("REPO_RUNS", str(tmp_path / "file"))
    with pytest.raises(UserError, match="REPO_RUNS"), runs.workspace(job, []):
        pass


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_is_named(
    job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "closed").mkdir(mode=0o500)
    monkeypatch.setenv("REPO_RUNS", str(tmp_path / "closed"))
    with pytest.raises(UserError, match="REPO_RUNS"), runs.workspace(job, []):
        pass
