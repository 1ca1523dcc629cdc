"""Where a run's figures go: the file, TensorBoard and Weights & Biases, the real ones."""

import importlib
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from stages.training import notices
from stages.training.metrics import BOARD, FILE, Metrics
from tests.stages.training.workers import CPU


def loss(step: int) -> float:
    return step + 0.40625


def write(folder: Path, after: int, until: int, **settings: object) -> None:
    """The rows of one attempt, which resumed at step ``after``."""
    metrics = Metrics(folder, after, replace(CPU, **settings))  # type: ignore[arg-type]
    for step in range(after + 1, until + 1):
        metrics.add({"step": step, "loss": loss(step), "gradient_norm": None})
    metrics.close()


def test_a_resumed_run_takes_back_what_it_did_after_its_checkpoint(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    write(tmp_path, 0, 5, tensorboard=True)
    with open(tmp_path / FILE, "a") as file:
        file.write('{"step": 6, "lo')  # a kill
    write(tmp_path, 3, 8, tensorboard=True)
    rows = [json.loads(line) for line in (tmp_path / FILE).open()]
    assert [row["step"] for row in rows] == list(range(1, 9))
    board = EventAccumulator(str(tmp_path / BOARD))
    board.Reload()
    assert set(board.Tags()["scalars"]) == {"step", "loss"}
    shown = [(event.step, event.value) for event in board.Scalars("loss")]
    assert shown == [(step, pytest.approx(loss(step))) for step in range(1, 9)]


@pytest.fixture
def wandb_offline(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """W&B without a network or a key; its service ends with the test."""
    wandb = pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    yield
    wandb.teardown()


def test_wandb_gets_every_row(tmp_path: Path, wandb_offline: None) -> None:
    folder = tmp_path / "run-1"
    folder.mkdir()
    write(folder, 0, 5, wandb="project")
    importlib.import_module("wandb").teardown()  # its service may still be writing
    stored = list(folder.glob("wandb/offline-run-*-run-1/run-run-1.wandb"))
    assert len(stored) == 1
    content = stored[0].read_bytes()  # the rows stand in it as JSON values
    assert [str(loss(step)).encode() in content for step in range(1, 7)] == [True] * 5 + [False]
    assert not (folder / notices.FILE).exists()


def test_a_sink_that_fails_is_told_once_and_training_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("tensorboard")
    monkeypatch.setattr("torch.utils.tensorboard.SummaryWriter.add_scalar", full)
    write(tmp_path, 0, 3, tensorboard=True)
    said = (tmp_path / notices.FILE).read_text().splitlines()
    assert said == ["REPO_TENSORBOARD: no space left on device; training goes on without it"]
    assert len((tmp_path / FILE).read_text().splitlines()) == 3


def full(*_: object) -> None:
    raise OSError("no space left on device")
