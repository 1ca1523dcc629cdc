"""The parts of training that need no worker: loss, schedule, optimizer groups."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from stages.training import objective
from stages.training.muon import Muon, orthogonal
from stages.training.optimizer import MuonWithAdamW, adamw
from stages.training.params import TrainingParams
from stages.training.schedule import schedule
from tests.stages.training.small import model


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("chunk", [1, 7 * 50, 2**25])
def test_the_loss_equals_the_naive_one(
    chunk: int, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(objective, "CHUNK_LOGITS", chunk)
    torch.manual_seed(0)
    hidden = torch.randn(2, 9, 8, dtype=dtype, requires_grad=True)
    head = torch.randn(50, 8, dtype=dtype, requires_grad=True)
    ids = torch.randint(0, 50, (2, 9))
    entropy, total = objective.next_token_loss(hidden, head, ids, z_loss=0.1)
    total.backward()
    found = hidden.grad, head.grad
    hidden.grad = head.grad = None
    logits = (hidden @ head.T)[:, :-1].reshape(-1, 50)
    naive = F.cross_entropy(logits, ids[:, 1:].reshape(-1))
    whole = naive + 0.1 * logits.logsumexp(-1).square().mean()
    whole.backward()
    exact = {"atol": 1e-12, "rtol": 1e-12} if dtype == torch.float64 else {}
    torch.testing.assert_close(entropy, naive.detach(), **exact)
    torch.testing.assert_close(total, whole, **exact)
    torch.testing.assert_close(found, (hidden.grad, head.grad), **exact)


@pytest.mark.parametrize("chunk", [50, 2**25])
def test_a_sequence_left_out_teaches_nothing_and_counts(
    chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(objective, "CHUNK_LOGITS", chunk)
    torch.manual_seed(0)
    hidden = torch.randn(2, 9, 8, requires_grad=True)
    head, ids = torch.randn(50, 8), torch.randint(0, 50, (2, 9))
    keep = torch.tensor([True, False])
    entropy, total = objective.next_token_loss(hidden, head, ids, 0.1, keep)
    total.backward()
    first = objective.next_token_loss(hidden[:1], head, ids[:1], 0.1)
    torch.testing.assert_close((entropy, total), (first[0] / 2, first[1] / 2))
    assert hidden.grad is not None
    assert hidden.grad[1].abs().max() == 0
    assert hidden.grad[0].abs().max() > 0


MEASURE = """
import resource, sys, torch
from torch.nn import functional as F
from stages.training.objective import next_token_loss
torch.manual_seed(0)
torch.set_num_threads(1)
hidden = torch.randn(1, 4096, 64, requires_grad=True)
head = torch.randn(100352, 64, requires_grad=True)
ids = torch.randint(0, 100352, (1, 4096))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
if sys.argv[1] == "naive":
    logits = F.linear(hidden, head)[0, :-1].float()
    loss = F.cross_entropy(logits, ids[0, 1:]) + 1e-5 * logits.logsumexp(-1).square().mean()
else:
    loss = next_token_loss(hidden, head, ids, 1e-5)[1]
loss.backward()
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, loss.item())
"""


@pytest.mark.stress
def test_the_loss_needs_a_quarter_of_the_naive_memory(project_root: Path) -> None:
    found = {}
    for kind in ("naive", "ours"):
        done = subprocess.run(
            [sys.executable, "-c", MEASURE, kind],
            cwd=project_root,
            capture_output=True,
            text=True,
            check=True,
        )
        kib, loss = done.stdout.split()
        found[kind] = int(kib), float(loss)
    assert found["ours"][1] == pytest.approx(found["naive"][1], abs=1e-3)
    print(f"naive {found['naive'][0] / 2**20:.2f} GiB, ours {found['ours'][0] / 2**20:.2f} GiB")
    assert found["ours"][0] <= found["naive"][0] / 4


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


def test_cores_slow_in_bf16_orthogonalise_in_fp32(monkeypatch: pytest.MonkeyPatch) -> None:
    def moved(kind: type[torch.optim.Muon], fast: bool) -> list[torch.Tensor]:
        monkeypatch.setattr("stages.training.muon.fast_bf16", lambda: fast)
        torch.manual_seed(1)
        matrices = [nn.Parameter(torch.randn(shape)) for shape in ((12, 20), (20, 12), (16, 16))]
        optimizer = kind(matrices, lr=0.02, weight_decay=0.1)
        for _ in range(3):
            for matrix in matrices:
                matrix.grad = torch.randn_like(matrix)
            optimizer.step()
        return [matrix.detach() for matrix in matrices]

    theirs, fast, slow = moved(torch.optim.Muon, True), moved(Muon, True), moved(Muon, False)
    for there, same, near in zip(theirs, fast, slow, strict=True):
        assert torch.equal(there, same)
        assert not torch.equal(there, near)  # bf16 has 8 bits: three steps of 0.02 differ by 1e-4
        torch.testing.assert_close(near, there, atol=1e-3, rtol=0)


def test_orthogonal_brings_the_singular_values_near_one() -> None:
    torch.manual_seed(2)
    wide, tall = torch.randn(24, 60), torch.randn(60, 24)
    for matrix in (wide, tall):
        values = torch.linalg.svdvals(orthogonal(matrix, (3.4445, -4.7750, 2.0315), 5, 1e-7))
        assert 0.6 < values.min() < values.max() < 1.3
