"""Training on Ray Train and DeepSpeed against a plain loop, and through a worker's death."""

import functools
import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

import repo_model
from stages.common.errors import UserError
from stages.common.files import read_jsonl
from stages.common.tokens import TokenStore
from stages.common.training.engine import Engine
from stages.common.training.launch import launch
from stages.common.training.loop import Run
from stages.common.training.objective import next_token_loss
from stages.common.training.optimizer import build as build_optimizer
from stages.common.training.optimizer import schedule
from stages.common.training.order import DataOrder
from stages.common.training.params import TrainingParams

pytestmark = pytest.mark.ray


def model(vocabulary: int = 64) -> nn.Module:
    torch.manual_seed(5)
    config = repo_model.RepoOlmo2Config(
        positions="repo",
        start_layer=1,
        vocab_size=vocabulary,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=32,
        pad_token_id=None,
        bos_token_id=None,
        eos_token_id=0,
    )
    return repo_model.RepoOlmo2ForCausalLM(config)


def model_that_dies_once(flag: Path, at_call: int) -> nn.Module:
    """As ``model``; in the process that finds ``flag`` the ``at_call``-th pass is its last."""
    original, calls = Engine.accumulate, [0]

    def accumulate(self: Engine, ids_BT: torch.Tensor) -> torch.Tensor:
        calls[0] += 1
        if calls[0] == at_call and flag.exists():
            flag.unlink(missing_ok=True)
            os._exit(137)  # as after kill -9: nothing is flushed, nothing is said
        return original(self, ids_BT)

    Engine.accumulate = accumulate  # type: ignore[method-assign]
    return model()


def trained(run: Run) -> tuple[dict[str, torch.Tensor], list[dict[str, float]]]:
    run.folder.mkdir(parents=True, exist_ok=True)
    final = launch("test", run, vocabulary=64)
    return load_file(final / "model.safetensors"), list(read_jsonl(run.folder / "log.jsonl"))


def plain_loop(tokens: Path, params: TrainingParams, seed: int) -> tuple[nn.Module, list[float]]:
    """The same recipe without Ray, DeepSpeed or checkpoints."""
    net = model()
    net.train()
    optimizer = build_optimizer(net, params)
    full = [group["lr"] for group in optimizer.param_groups]
    order, losses = DataOrder(TokenStore(tokens), params, seed), []
    for step in range(params.steps):
        for group, lr in zip(optimizer.param_groups, full, strict=True):
            group["lr"] = lr * schedule(params, step)
        ids_BT = torch.from_numpy(order.batch(step, 0, order.rows(step)))
        hidden_BTD = net.model(input_ids=ids_BT).last_hidden_state  # type: ignore[operator, union-attr]
        head_VD = net.get_output_embeddings().weight  # type: ignore[operator]
        entropy, objective = next_token_loss(hidden_BTD, head_VD, ids_BT, params.z_loss)
        optimizer.zero_grad()
        objective.backward()
        nn.utils.clip_grad_norm_(net.parameters(), params.grad_clip)
        optimizer.step()
        losses.append(entropy.item())
    return net, losses


# Muon orthogonalises in bf16 (torch.optim.Muon), which turns the sums' last bits into 1e-3.
@pytest.mark.parametrize(("optimizer", "tolerance"), [("adamw", 1e-4), ("muon", 5e-3)])
def test_two_workers_equal_a_plain_loop_and_a_killed_run_an_uninterrupted_one(
    optimizer: str,
    tolerance: float,
    tokens: Path,
    tmp_path: Path,
    training_params: TrainingParams,
    ray_session: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("REPO_CHECKPOINT_SECONDS", "0")
    changes = {"optimizer": optimizer, "muon_lr": 0.02 if optimizer == "muon" else None}
    params = TrainingParams(**{**training_params.model_dump(), **changes})
    whole = Run(params, 7, tokens, tmp_path / "whole", model)
    weights, log = trained(whole)

    net, losses = plain_loop(tokens, params, seed=7)
    assert [point["loss"] for point in log] == pytest.approx(losses, abs=tolerance)
    assert losses[-1] < losses[0] - 0.1
    for name, parameter in net.named_parameters():
        torch.testing.assert_close(weights[name], parameter.detach(), atol=10 * tolerance, rtol=0)

    flag = tmp_path / "die"
    flag.touch()
    build = functools.partial(model_that_dies_once, flag, 8)
    killed_weights, killed_log = trained(Run(params, 7, tokens, tmp_path / "killed", build))
    assert not flag.exists(), "no worker died"
    assert killed_log == log
    for name, value in weights.items():
        assert torch.equal(killed_weights[name], value), name


def test_a_finished_run_is_not_done_again(
    tokens: Path, tmp_path: Path, training_params: TrainingParams
) -> None:
    folder = tmp_path / "done"
    folder.mkdir()
    (folder / "log.jsonl").touch()
    run = Run(training_params, 7, tokens, folder, model)
    assert launch("test", run, vocabulary=64) == folder / "final"


def test_mistakes_are_found_before_anything_starts(
    tokens: Path, tmp_path: Path, training_params: TrainingParams, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run(training_params, 7, tokens, tmp_path, model)
    with pytest.raises(UserError, match="vocabulary of 64, the model's embedding only 50 rows"):
        launch("test", run, vocabulary=50)
    monkeypatch.setenv("REPO_WORKERS", "many")
    with pytest.raises(UserError, match="REPO_WORKERS is 'many'"):
        launch("test", run, vocabulary=64)
    monkeypatch.setenv("REPO_WORKERS", "3")
    with pytest.raises(UserError, match="REPO_WORKERS is 3 and does not divide"):
        launch("test", run, vocabulary=64)
    monkeypatch.setenv("REPO_WORKERS", "2")
    monkeypatch.setenv("REPO_ZERO", "2")
    muon = {**training_params.model_dump(), "optimizer": "muon", "muon_lr": 0.02}
    with pytest.raises(UserError, match="REPO_ZERO is 2"):
        launch("test", Run(TrainingParams(**muon), 7, tokens, tmp_path, model), vocabulary=64)


def test_a_worker_s_mistake_reaches_the_user(
    tokens: Path, tmp_path: Path, training_params: TrainingParams, ray_session: str
) -> None:
    def wrong() -> nn.Module:
        raise UserError("base.source: broken")

    with pytest.raises(UserError, match=r"base\.source: broken"):
        launch("test", Run(training_params, 7, tokens, tmp_path, wrong), vocabulary=64)
