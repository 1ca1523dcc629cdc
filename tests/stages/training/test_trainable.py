"""Training some of the weights: the rest costs nothing, stays, and is in the finished model."""

from collections.abc import Mapping

import pytest
import torch
from pydantic import ValidationError

from stages.common.errors import UserError
from stages.common.files import read_json
from stages.training import checkpoint
from stages.training.flops import work_per_token
from stages.training.optimizer import build
from stages.training.trainable import freeze, frozen, trained
from tests.stages.training.recipes import MUON, SHORT_STEPS, UPPER, Runs, recipe
from tests.stages.training.small import model, plain_loop

TRAINED = {
    f"model.layers.1.self_attn.{name}.weight"
    for name in ("q_proj", "k_proj", "gate_map", "content_map", "final_map")
}


def test_what_is_chosen_is_trained_and_nothing_else_is_kept_for_the_backward_pass() -> None:
    net, params = model(), recipe(**UPPER)
    freeze(net, params)
    assert {name for name, _ in trained(net)} == TRAINED
    groups = build(net, params).param_groups
    assert [(len(group["params"]), group["lr"]) for group in groups] == [(2, 1e-2), (3, 0.03)]
    seen: dict[int, bool] = {}
    for number, layer in enumerate(net.model.layers):  # type: ignore[union-attr, arg-type]
        layer.register_forward_hook(
            lambda _m, _i, out, number=number: seen.update({number: out.requires_grad})
        )
    net(input_ids=torch.arange(8)[None])
    assert seen == {0: False, 1: True}


def test_work_that_is_spared_is_not_counted() -> None:
    whole, part = model(), model()
    freeze(part, recipe(**UPPER))
    all_of_it, some = work_per_token(whole, 16), work_per_token(part, 16)
    assert some.attention == pytest.approx(
        all_of_it.attention * 4 / 6
    )  # one layer of two forward only
    below = sum(p.numel() for n, p in part.named_parameters() if "layers.0" in n and p.ndim == 2)
    held = sum(p.numel() for n, p in frozen(part) if p.ndim == 2 and "embed" not in n)
    assert all_of_it.dense - some.dense == pytest.approx(2.0 * (held + below))


@pytest.mark.parametrize("name", ["upper", "upper0", "upper3"])
def test_two_workers_equal_a_plain_loop(runs: Runs, name: str) -> None:
    net, losses = plain_loop(runs.tokens, recipe(**UPPER), seed=7)
    assert runs.losses(name) == pytest.approx(losses, abs=2e-5)
    found = runs.weights(name)
    for key, value in net.named_parameters():
        torch.testing.assert_close(found[key], value, atol=2e-4, rtol=0)


def test_all_weights_are_exported_and_the_frozen_ones_are_the_base_s(runs: Runs) -> None:
    start, found = dict(model().named_parameters()), runs.weights("upper")
    assert set(found) == set(start)
    changed = {name for name, value in found.items() if not torch.equal(value, start[name])}
    assert changed == TRAINED
    assert "starts from" in runs.notices("upper")
    assert "q_proj, k_proj, maps of layers 1 to 1" in runs.notices("upper")
    milestone = runs.folder / "upper/milestones/step-00000020"
    _holds(milestone / "model.safetensors", start)


def _holds(file: object, start: Mapping[str, torch.Tensor]) -> None:
    from safetensors.torch import load_file

    stored = load_file(str(file))
    assert set(stored) == set(start)
    assert torch.equal(stored["model.norm.weight"], start["model.norm.weight"])


def test_a_checkpoint_holds_what_is_trained_alone(runs: Runs) -> None:
    last = runs.folder / "upper" / "checkpoints" / f"step-{SHORT_STEPS:08d}"
    assert set(read_json(last / "index.json")) == TRAINED
    entries = set(checkpoint.Stored(last))
    assert entries == {n + key for n in TRAINED for key in ("", "|exp_avg", "|exp_avg_sq")}


def test_two_workers_then_one_then_two(resumed: Runs) -> None:
    assert resumed.losses("elastic upper") == pytest.approx(resumed.losses("upper"), abs=2e-4)
    said = resumed.notices("elastic upper")
    assert said.count("resumed at step") == 2
    for name, value in resumed.weights("upper").items():
        torch.testing.assert_close(resumed.weights("elastic upper")[name], value, atol=2e-3, rtol=0)


def test_a_model_without_maps_has_nothing_left_to_train() -> None:
    params = recipe(trainable={"maps": True, "attention": [], "from_layer": 0})
    net = model()
    net.model.layers[1].self_attn = net.model.layers[0].self_attn  # type: ignore[union-attr, index]
    with pytest.raises(UserError, match=r"trainable is .*this model has none of it"):
        freeze(net, params)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"trainable": {"maps": False, "attention": []}}, "nothing would be trained"),
        ({"trainable": {"attention": ["q", "q"]}}, "names one twice"),
        ({"trainable": {"attention": ["x"]}}, "attention"),
        ({**MUON, "trainable": {"from_layer": 1}}, "adamw only"),
    ],
)
def test_mistakes(changes: dict[str, object], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        recipe(**changes)
