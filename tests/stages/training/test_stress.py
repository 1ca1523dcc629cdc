"""What takes minutes: a hung worker, worker counts that Ray chooses, many kills. Run by name."""

import os
import signal
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from stages.common.errors import UserError
from stages.training.launch import launch, worker
from stages.training.watchdog import EXIT_CODE
from tests.stages.training import recipes, workers
from tests.stages.training.recipes import SHORT, Runs
from tests.stages.training.workers import CPU

pytestmark = pytest.mark.stress


def test_a_hung_worker_ends_its_peer_and_the_run_goes_on(runs: Runs) -> None:
    hung = runs.run("hung", partial(recipes.freeze_at, 9), **SHORT)
    execution = replace(CPU, checkpoint_steps=2, hang_seconds=8.0)
    first, second = workers.start(runs.folder, [(hung, execution)], world=2)
    assert first.wait(timeout=240) == EXIT_CODE
    assert second.poll() is None
    second.send_signal(signal.SIGKILL)
    second.wait()
    assert "rank 0 hangs: nothing for 8 s at step" in runs.notices("hung")
    workers.run(runs.folder, [(runs.run("hung", **SHORT), CPU)], world=2)
    assert "resumed at step " in runs.notices("hung")
    assert runs.equal("hung", "short")


@pytest.mark.ray
def test_ray_chooses_the_worker_count(
    runs: Runs, ray_session: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REPO_WORKERS", "1-2")
    (runs.folder / "elastic on ray").mkdir()
    launch("elastic", runs.run("elastic on ray", **SHORT), vocabulary=64)
    assert runs.losses("elastic on ray") == pytest.approx(runs.losses("short"), abs=1e-4)


def test_workers_that_the_batch_cannot_be_shared_among_stand_by(runs: Runs) -> None:
    """Of three, two train: the same losses, and no checkpoint of a third rank."""
    run = runs.run("three", **SHORT)
    run.folder.mkdir()
    execution = replace(CPU, workers=4, least_workers=1, checkpoint_steps=4)
    workers.run(runs.folder, [partial(worker, {"run": run, "execution": execution})], world=3)
    assert runs.equal("three", "short")
    ranks = {file.name for file in run.checkpoints.glob("*/rank-*.safetensors")}
    assert ranks == {"rank-00000.safetensors", "rank-00001.safetensors"}


@pytest.mark.ray
def test_a_mistake_crosses_ray(runs: Runs, ray_session: str) -> None:
    run = runs.run("mistaken on ray", recipes.wrong)
    run.folder.mkdir()
    with pytest.raises(UserError, match=r"base\.source: broken"):
        launch("test", run, vocabulary=64)


def test_ten_kills_change_nothing(project_root: Path) -> None:
    script = [sys.executable, "benchmarks/kill_training.py", "--seed", "11"]
    environment = {k: v for k, v in os.environ.items() if k != "RAY_ADDRESS"}
    done = subprocess.run(
        script, cwd=project_root, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "equal bit for bit" in done.stdout
