"""Training on Ray Train: what the driver does around the workers' loop."""

import os
import signal
import sys
from functools import partial
from pathlib import Path

import pytest

from stages.common.errors import TryAgain, UserError
from stages.training import checkpoint
from stages.training.launch import _raise_what_was_left, launch
from stages.training.params import TrainingParams
from stages.training.run import Run
from tests.stages.training import recipes
from tests.stages.training.recipes import SHORT, STEPS, Runs
from tests.stages.training.small import model

pytestmark = pytest.mark.ray


def test_a_killed_worker_costs_nothing_and_sigterm_saves(
    runs: Runs,
    ray_session: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.delenv("CI", raising=False)  # it would leave the progress line out
    monkeypatch.setenv("REPO_CHECKPOINT_STEPS", "3")
    monkeypatch.setenv("REPO_ZERO", "2")
    flag, folder = runs.folder / "die", runs.folder / "launched"
    run = runs.run("launched", partial(recipes.die_once_then_signal, flag, os.getpid(), folder))
    folder.mkdir()
    flag.touch()
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(
        TryAgain, match=r"stopped by SIGTERM, saved at step (\d+); run again"
    ) as told:
        launch("launched", run, vocabulary=64)
    assert signal.getsignal(signal.SIGTERM) == before
    assert not flag.exists(), "no worker died"
    shown = capsys.readouterr().out
    assert "launched: a worker died: started anew from " in shown
    assert shown.count("launched: resumed at step ") == 1
    assert "tok/s/worker" in shown
    saved = checkpoint.latest(run.checkpoints)
    assert saved is not None
    step = saved.progress.position.step
    assert f"at step {step};" in str(told.value)
    assert 10 < step < STEPS
    assert list(saved.progress.log) == runs.log("zero2")[:step]


@pytest.mark.stress
@pytest.mark.slow
def test_a_hung_worker_is_replaced(
    runs: Runs, ray_session: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REPO_CHECKPOINT_STEPS", "3")
    monkeypatch.setenv("REPO_HANG_SECONDS", "60")
    flag, folder = runs.folder / "freeze", runs.folder / "hung on ray"
    folder.mkdir()
    flag.touch()
    build = partial(recipes.freeze_once, flag, 9)
    launch("hung", runs.run("hung on ray", build, **SHORT), vocabulary=64)
    assert not flag.exists(), "no worker hung"
    assert "a worker died: started anew from step-0000000" in runs.notices("hung on ray")
    assert "resumed at step " in runs.notices("hung on ray")
    assert runs.equal("hung on ray", "short")


def test_a_worker_s_mistake_reaches_the_user(runs: Runs) -> None:
    run = runs.run("mistaken", recipes.wrong)
    with pytest.raises(UserError, match=r"base\.source: broken"):
        _raise_what_was_left(run)


def test_a_finished_run_is_not_done_again(
    tokens: Path, tmp_path: Path, training_params: TrainingParams
) -> None:
    folder = tmp_path / "done"
    folder.mkdir()
    (folder / "log.jsonl").touch()
    run = Run(training_params, 7, tokens, folder, model)
    assert launch("test", run, vocabulary=64) == folder / "final"


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("REPO_WORKERS", "many", "REPO_WORKERS is 'many'"),
        ("REPO_WORKERS", "3", "REPO_WORKERS is 3 and does not divide"),
        ("REPO_WORKERS", "2-3", "REPO_WORKERS is 3 and does not divide"),
        ("REPO_WORKERS", "4-2", "REPO_WORKERS is '4-2': give two numbers, the least first"),
        ("REPO_ZERO", "2", "REPO_ZERO is 2: optimizer 'muon' needs 0"),
        ("REPO_OFFLOAD", "1", "REPO_OFFLOAD is 1: it needs REPO_ZERO 1, 2 or 3"),
        ("REPO_LOSS", "fused", "REPO_LOSS is 'fused': give 'chunked' or 'liger'"),
        ("REPO_LOSS", "liger", "REPO_LOSS is 'liger': its kernels need a GPU"),
        ("REPO_WANDB", "mine", "REPO_WANDB is set: it needs `pip install wandb`"),
    ],
)
def test_mistakes_are_found_before_anything_starts(
    name: str,
    value: str,
    said: str,
    tokens: Path,
    tmp_path: Path,
    training_params: TrainingParams,
    ray_session: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(name, value)
    monkeypatch.setitem(sys.modules, "wandb", None)  # as where it is not installed
    muon = {**training_params.model_dump(), "optimizer": "muon", "muon_lr": 0.02}
    with pytest.raises(UserError, match=said):
        launch("test", Run(TrainingParams(**muon), 7, tokens, tmp_path, model), vocabulary=64)
    assert list(tmp_path.glob("checkpoints")) == []


def test_tokens_of_a_larger_vocabulary_are_refused(
    tokens: Path, tmp_path: Path, training_params: TrainingParams
) -> None:
    run = Run(training_params, 7, tokens, tmp_path, model)
    with pytest.raises(UserError, match="vocabulary of 64, the model's embedding only 50 rows"):
        launch("test", run, vocabulary=50)
