"""Statistics, patterns and collapse of learned positions, against cases worked out by hand."""

import pytest
import torch

from stages.analyze.positions import PatternCounts, heads


def _shares(z, chunk_tokens, epsilon):
    counts = PatternCounts(chunk_tokens, epsilon)
    counts.add(torch.tensor(z))
    return counts.shares()


def test_chunks_are_monotone_constant_or_hybrid():
    rising, falling = [0.0, 1.0, 2.0, 3.0], [3.0, 2.0, 1.0, 0.0]
    flat, mixed = [5.0, 5.1, 4.9, 5.0], [0.0, 3.0, 1.0, 2.0]
    assert _shares([rising + falling, flat + mixed], 4, 0.2) == {
        "monotone": 0.5,
        "constant": 0.25,
        "hybrid": 0.25,
        "chunks": 4,
    }


def test_a_repeated_value_is_not_strictly_monotone():
    assert _shares([[0.0, 1.0, 1.0, 2.0]], 4, 0.2)["hybrid"] == 1


def test_a_slow_ramp_within_epsilon_is_constant():
    ramp = [[0.02 * i for i in range(16)]]  # mean +- 0.15
    assert _shares(ramp, 16, 0.2)["constant"] == 1
    assert _shares(ramp, 16, 0.1)["monotone"] == 1


def test_epsilon_is_around_the_mean_not_a_range():
    assert _shares([[0.0, 0.0, 0.0, 0.4]], 4, 0.2)["constant"] == 0  # 0.3 from its mean


def test_a_chunk_that_is_cut_short_is_left_out():
    assert _shares([[0.0] * 11] * 3, 4, 0.2)["chunks"] == 6
    assert _shares([[0.0] * 3] * 3, 4, 0.2) is None


def test_every_chunk_weighs_the_same_over_inputs_of_different_lengths():
    counts = PatternCounts(2, 0.2)
    counts.add(torch.tensor([[0.0, 1.0] * 3]))  # three rising chunks
    counts.add(torch.zeros(1, 2))
    counts.add(torch.zeros(1, 1))
    found = counts.shares()
    assert (found["monotone"], found["constant"], found["chunks"]) == (0.75, 0.25, 4)


def test_statistics_by_hand():
    (head,) = heads(torch.tensor([[1.0, -1.0, 1.0, -1.0]]), 0.2)
    assert (head["min"], head["max"], head["mean"], head["std"]) == (-1.0, 1.0, 0.0, 1.0)
    assert head["linearity"] == pytest.approx(0.2)  # slope -0.4: 0.16 x 1.25 of a variance of 1


def test_what_counts_as_collapsed_and_as_linear():
    index = torch.arange(128.0)
    noise = torch.randn(128, generator=torch.Generator().manual_seed(0))
    found = heads(torch.stack([noise, 0.05 * noise, 0.5 * index + 0.1 * noise, 0 * index]), 0.2)
    assert [head["collapsed"] for head in found] == [False, True, True, True]
    assert [head["linear"] for head in found] == [False, False, True, False]
