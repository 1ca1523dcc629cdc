"""How far the maps can travel, and what is said of it."""

import pytest
import torch

from stages.training import health
from stages.training.schedule import map_travel, schedule, travel_words
from stages.training.start import positions_line
from tests.stages.training.recipes import recipe
from tests.stages.training.small import model


def test_travel_is_the_sum_of_the_maps_rates() -> None:
    params = recipe(map_lr=0.02)
    steps = [schedule(params, step) for step in range(params.steps)]
    assert map_travel(params) == pytest.approx(0.02 * sum(steps))
    assert map_travel(recipe()) == pytest.approx(1e-2 * sum(steps))
    frozen = recipe(trainable={"maps": False, "attention": ["q"], "from_layer": 1})
    assert map_travel(frozen) == 0.0


def test_adam_takes_a_weight_as_far_as_the_sum_says() -> None:
    params = recipe(weight_decay=0.0)
    weight = torch.nn.Parameter(torch.zeros(1))
    adam = torch.optim.AdamW([weight], lr=params.lr, betas=params.betas, weight_decay=0.0)
    for step in range(params.steps):
        adam.param_groups[0]["lr"] = params.lr * schedule(params, step)
        weight.grad = torch.tensor([-1e-6])
        adam.step()
    assert weight.item() == pytest.approx(map_travel(params), rel=0.02)


def test_too_little_is_said_with_its_fix() -> None:
    assert "raise train.map_lr or tokens" in travel_words(recipe(map_lr=1e-4))
    assert "raise" not in travel_words(recipe(map_lr=1e-2))


def test_the_start_s_positions_are_told() -> None:
    net = model()
    look = health.positions(net, torch.arange(16)[None])
    line = positions_line(look, 16, recipe())
    assert line.startswith(f"positions at the start: std(z) {look['1.std']:.2g} to ")
    assert f"range up to {look['1.range']:.2g} on 16 tokens" in line
