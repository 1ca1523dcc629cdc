"""Presets, explicit lists, and one clear error for each mistake."""

import pytest

from repo_model import layer_types


def test_presets() -> None:
    assert layer_types("rope", 3) == ["rope"] * 3
    assert layer_types("nope", 3) == ["nope"] * 3
    assert [i for i, t in enumerate(layer_types("r2n1", 16)) if t == "nope"] == [2, 5, 8, 11, 14]
    assert [i for i, t in enumerate(layer_types("n2r1", 16)) if t == "rope"] == [2, 5, 8, 11, 14]


@pytest.mark.parametrize(("depth", "start"), [(16, 5), (32, 10)])
def test_default_start_is_the_paper_s(depth: int, start: int) -> None:
    assert layer_types("repo", depth) == ["rope"] * start + ["repo"] * (depth - start)


def test_explicit_layers_intersect_with_start() -> None:
    assert layer_types("repo", 4, start_layer=2, layers=[0, 3]) == ["rope", "rope", "rope", "repo"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"preset": "alibi"}, "'alibi' is unknown"),
        ({"preset": ["rope", "alibi", "repo"]}, r"positions\[1\]='alibi' is unknown"),
        ({"preset": ["rope"]}, "1 entries for 3 layers"),
        (
            {"preset": "repo", "start_layer": 3},
            "start_layer=3 is outside the model; its layers are 0..2",
        ),
        ({"preset": "repo", "start_layer": -1}, "start_layer=-1 is outside"),
        ({"preset": "repo", "layers": [7]}, r"layers=\[7\] are outside"),
        ({"preset": "repo", "start_layer": 2, "layers": [0]}, "no layer is left"),
        ({"preset": "rope", "start_layer": 1}, "belong to positions='repo'"),
        ({"preset": ["rope"] * 3, "start_layer": 1}, "belong to positions='repo'"),
    ],
)
def test_errors(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        layer_types(num_layers=3, **arguments)
    assert "\n" not in str(caught.value)
