"""docs/variants.md: its block of params is valid, and each rival is what the page says."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.use import profiles
from stages.params import Params, load

LAYERS = 6
LATE = ["rope", "rope"]
EXPECTED: Mapping[str, list[str]] = {
    "rope": ["rope"] * 6,
    "nope": ["nope"] * 6,
    "r2n1": ["rope", "rope", "nope"] * 2,
    "n2r1": ["nope", "nope", "rope"] * 2,
    "repo": [*LATE, *["repo"] * 4],
    "drope": ["nope"] * 6,
    "repo_all": ["repo"] * 6,
    "repo_late": ["rope", "rope", "repo"] * 2,
    "rnope_late": [*LATE, *["nope"] * 4],
}


def block(root: Path) -> dict[str, Any]:
    found = re.search(r"```yaml\n(.*?)```", (root / "docs/variants.md").read_text(), re.DOTALL)
    assert found
    return dict(yaml.safe_load(found[1]))


@pytest.fixture
def params(project_root: Path, tmp_path: Path) -> Params:
    written = {**yaml.safe_load(profiles()["olmo2-1b"]), **block(project_root)}
    written["train"]["start_layer"] = "auto"
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(written))
    return load(tmp_path / "params.yaml")


def test_the_page_defines_what_it_lists(project_root: Path) -> None:
    said = block(project_root)
    assert set(said["variants"]) == set(said["definitions"]) == set(EXPECTED)


@pytest.mark.parametrize("name", EXPECTED)
def test_each_variant_has_the_layers_that_the_page_says(params: Params, name: str) -> None:
    assert params.positions(name, LAYERS) == EXPECTED[name]


def test_drope_trains_with_its_own_rate_and_nobody_else_does(params: Params) -> None:
    rates = {name: params.train_of(name).lr for name in EXPECTED}
    assert rates.pop("drope") == 3e-4
    assert set(rates.values()) == {params.train.lr}
