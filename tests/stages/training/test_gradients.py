"""``train.gradients``: sums of gradients in fp32 where the passes are in bf16."""

import pytest
import torch
from pydantic import ValidationError

from stages.training.engine import _config
from stages.training.objective import CHUNK_LOGITS, MOST_LOGITS, chunk_of, next_token_loss
from tests.stages.training.recipes import WIDE, Runs, recipe
from tests.stages.training.workers import CPU


def test_without_it_deepspeed_is_told_what_it_was_told() -> None:
    for params in (recipe(), recipe(precision="bf16"), recipe(gradients="fp32")):
        told = _config(params, CPU, 1, 1)
        assert not {"data_types", "communication_data_type"} & set(told)
        assert not told["bf16"]["immediate_grad_update"]
    told = _config(recipe(**WIDE), CPU, 1, 1)
    assert told["data_types"] == {"grad_accum_dtype": "fp32"}
    assert told["communication_data_type"] == "fp32"


def test_narrower_than_the_passes_is_a_mistake() -> None:
    with pytest.raises(ValidationError, match="gradients is 'bf16' with precision 'fp32'"):
        recipe(gradients="bf16")


@pytest.mark.parametrize("stage", [2, 3])
def test_every_zero_stage_sums_the_same(runs: Runs, stage: int) -> None:
    """Two workers, four passes a step: only the order of the sums differs. In bf16 that grows to 0.03
    within 24 steps, as far as any two such runs were from fp32 and from one another."""
    found, first = runs.losses(f"wide{stage}"), runs.losses("wide1")
    assert found[:4] == pytest.approx(first[:4], abs=2e-3)
    assert found == pytest.approx(first, abs=0.08)
    assert f"ZeRO {stage}, 4 passes a step" in runs.notices(f"wide{stage}")


def test_the_head_s_gradient_is_summed_over_chunks_in_fp32() -> None:
    torch.manual_seed(0)
    kind, ids = torch.bfloat16, torch.randint(0, 50, (4, 65))
    hidden, head = torch.randn(4, 65, 16, dtype=kind), torch.randn(50, 16, dtype=kind)
    exact = head.double().requires_grad_()
    next_token_loss(hidden.double(), exact, ids, 1e-4)[1].backward()
    off = {}
    for wide in (False, True):
        given = head.clone().requires_grad_()
        next_token_loss(hidden, given, ids, 1e-4, chunk=4 * 50, wide=wide)[1].backward()
        assert given.grad is not None and exact.grad is not None and given.grad.dtype == kind
        off[wide] = (given.grad.double() - exact.grad).norm() / exact.grad.norm()
    assert off[True] < 0.6 * off[False]


def test_chunks_follow_free_memory_in_powers_of_two() -> None:
    assert chunk_of(0.0) == chunk_of(1e9) == CHUNK_LOGITS
    assert chunk_of(8e9) == chunk_of(8.5e9) == 2**27
    assert chunk_of(80e9) == MOST_LOGITS
