"""Variants as data: patterns over layers, equal to repo_model's presets where both have them."""

from typing import Any

import pytest
from ruamel.yaml import YAML

import repo_model
from pipeline.use import profiles
from repo_model.position_types import PRESETS
from stages.common.entry import job_of
from stages.common.errors import UserError
from stages.common.reading import parse
from stages.common.runs import key
from stages.common.variants import PATTERNS, TrainDefinition, positions_of
from stages.evaluate.stage import STAGE as EVALUATE
from stages.params import Params
from stages.train.stage import STAGE as TRAIN

OWN = {
    "train": {"positions": ["rope", "nope", "repo"], "start_layer": 1, "overrides": {"lr": 1e-4}},
    "evaluate": {"softmax_scale": [{"length": 512, "scale": 1.1}]},
    "report": {"label": "Three of a kind"},
}


def params(**changes: Any) -> Params:
    content = YAML(typ="safe").load(profiles()["smoke"])
    content["base"]["architecture"]["num_hidden_layers"] = 6
    content["variants"] = ["rope", "repo", "mine"]
    content["definitions"]["mine"] = {**OWN, **changes}
    content["benchmarks"]["lengths"] = [256, 512]
    return parse(Params, content, "params.yaml")


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("layers", [3, 16, 32])
def test_presets_are_those_of_the_model(preset: str, layers: int) -> None:
    found = positions_of(preset, TrainDefinition(), layers, "auto")
    assert found == repo_model.layer_types(preset, layers)
    assert set(PATTERNS) == set(PRESETS)


@pytest.mark.parametrize(
    ("defined", "expected"),
    [
        ({"positions": "nope"}, "nope nope nope nope nope nope"),
        ({"positions": "nope", "start_layer": 2}, "rope rope nope nope nope nope"),
        ({"positions": "repo"}, "rope repo repo repo repo repo"),
        ({"positions": "repo", "start_layer": "auto"}, "rope rope repo repo repo repo"),
        ({"positions": "r2n1", "start_layer": "auto"}, "rope rope nope rope rope nope"),
        ({"positions": ["rope", "repo"]}, "rope repo rope repo rope repo"),
        ({"positions": ["rope", "repo"], "start_layer": 3}, "rope rope rope repo rope repo"),
        (
            {"positions": ["rope", "nope", "repo", "nope", "rope", "rope"]},
            "rope nope repo nope rope rope",
        ),
    ],
)
def test_a_pattern_is_laid_over_the_layers(defined: dict[str, Any], expected: str) -> None:
    found = positions_of("mine", TrainDefinition.model_validate(defined), 6, 1)
    assert found == expected.split()


def test_what_does_not_fit_the_model_names_the_field() -> None:
    with pytest.raises(UserError, match=r"train\.start_layer is 6, but the model has 6 layers"):
        positions_of("repo", TrainDefinition(), 6, 6)
    longer = TrainDefinition(positions=("rope",) * 7)
    with pytest.raises(UserError, match=r"definitions\.mine\.train\.positions has 7 types"):
        positions_of("mine", longer, 6, 1)


def test_each_stage_is_given_its_part_alone() -> None:
    given = params()
    assert job_of(TRAIN, given, "mine", 1).definition == given.definitions["mine"].train
    assert job_of(EVALUATE, given, "mine", 1).definition == given.definitions["mine"].evaluate
    assert given.train_of("mine").lr == 1e-4
    assert given.train_of("rope") == given.train


def test_a_label_changes_no_key_and_positions_change_their_own() -> None:
    before, named = params(), params(report={"label": "Other"})
    other = params(train={**OWN["train"], "start_layer": 2})

    def keys(given: Params) -> list[str]:
        return [key(job_of(TRAIN, given, name, 1), []) for name in ("rope", "repo", "mine")]

    assert keys(named) == keys(before)
    assert keys(other)[:2] == keys(before)[:2]
    assert keys(other)[2] != keys(before)[2]
