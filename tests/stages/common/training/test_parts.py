"""The parts of training that need no worker: loss, schedule, optimizer groups, checkpoints."""

import pytest
import torch
from torch.nn import functional as F

from stages.common.training import objective
from stages.common.training.optimizer import MuonWithAdamW, adamw, schedule
from stages.common.training.params import TrainingParams
from tests.stages.common.training.small import model


@pytest.mark.parametrize("chunk", [1, 7 * 50, 2**25])
def test_the_loss_equals_the_naive_one(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objective, "CHUNK_LOGITS", chunk)
    torch.manual_seed(0)
    hidden = torch.randn(2, 9, 8, requires_grad=True)
    head = torch.randn(50, 8, requires_grad=True)
    ids = torch.randint(0, 50, (2, 9))
    entropy, total = objective.next_token_loss(hidden, head, ids, z_loss=0.1)
    total.backward()
    found = hidden.grad, head.grad
    hidden.grad = head.grad = None
    logits = (hidden @ head.T)[:, :-1].reshape(-1, 50)
    naive = F.cross_entropy(logits, ids[:, 1:].reshape(-1))
    whole = naive + 0.1 * logits.logsumexp(-1).square().mean()
    whole.backward()
    torch.testing.assert_close(entropy, naive.detach())
    torch.testing.assert_close(total, whole)
    torch.testing.assert_close(found, (hidden.grad, head.grad))


def test_the_schedule_warms_up_holds_and_falls_to_zero(training_params: TrainingParams) -> None:
    shares = [schedule(training_params, step) for step in range(12)]
    assert shares[:3] == pytest.approx([1 / 3, 2 / 3, 1.0])
    assert shares[6] == 1.0
    assert shares[9:] == pytest.approx([3 / 6, 2 / 6, 1 / 6])
    paper = training_params.model_copy(update={"warmup_steps": 0, "decay_share": 1.0})
    assert [schedule(paper, step) for step in (0, 6, 11)] == pytest.approx([1.0, 0.5, 1 / 12])


def test_norms_decay_and_embeddings_do_not(training_params: TrainingParams) -> None:
    net = model()
    decayed, embedding = adamw(net, training_params).param_groups
    names = {id(p): name for name, p in net.named_parameters()}
    assert [names[id(p)] for p in embedding["params"]] == ["model.embed_tokens.weight"]
    assert embedding["weight_decay"] == 0.0
    assert decayed["weight_decay"] == training_params.weight_decay
    assert "model.norm.weight" in {names[id(p)] for p in decayed["params"]}


def test_muon_takes_the_matrices_of_the_blocks(training_params: TrainingParams) -> None:
    net = model()
    params = training_params.model_copy(update={"optimizer": "muon", "muon_lr": 0.02})
    matrices, others = MuonWithAdamW(net, params).param_groups
    names = {id(p): name for name, p in net.named_parameters()}
    taken = {names[id(p)] for p in matrices["params"]}
    assert "model.layers.1.self_attn.gate_map.weight" in taken
    assert {names[id(p)] for p in others["params"]} >= {
        "model.embed_tokens.weight",
        "lm_head.weight",
    }
    assert len(matrices["params"]) + len(others["params"]) == len(names)
