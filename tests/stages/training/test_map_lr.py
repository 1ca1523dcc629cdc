"""A learning rate of the position maps' own; without it nothing changes."""

import pytest
from pydantic import ValidationError

from stages.training.optimizer import build, position_maps
from tests.stages.training.recipes import MUON, recipe
from tests.stages.training.small import model


def test_the_maps_have_their_own_rate_and_no_weight_is_lost() -> None:
    net, params = model(), recipe(map_lr=0.03)
    groups = build(net, params).param_groups
    maps = {id(p) for p in position_maps(net)}
    assert {id(p) for p in groups[2]["params"]} == maps
    assert len(maps) == 3
    assert [group["lr"] for group in groups] == [params.lr, params.lr, 0.03]
    held = [id(p) for group in groups for p in group["params"]]
    assert sorted(held) == sorted(id(p) for p in net.parameters())


def test_without_it_the_groups_are_the_ones_before() -> None:
    net = model()
    groups = build(net, recipe()).param_groups
    assert [len(group["params"]) for group in groups] == [len(list(net.parameters())) - 1, 1]


def test_muon_has_none() -> None:
    with pytest.raises(ValidationError, match=r"map_lr is 0\.03 with optimizer 'muon'"):
        recipe(**MUON, map_lr=0.03)
