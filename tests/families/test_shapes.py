"""``plan`` counts parameters by arithmetic: exactly, for every row of the table of families."""

import json
from pathlib import Path

import pytest
import torch

from repo_model.families import FAMILIES
from stages.common import shape
from tests.families.rows import CASES, settings


def test_both_tables_have_the_same_families() -> None:
    assert set(shape.FAMILIES) == set(FAMILIES)


@pytest.mark.parametrize("case", list(CASES))
@pytest.mark.parametrize("start", [4, 1])
def test_parameters_are_those_of_the_class(case: str, start: int, tmp_path: Path) -> None:
    family, keys = settings(case)
    positions = ["rope"] * start + ["repo"] * (4 - start)
    config = FAMILIES[family].config(**keys, positions=positions)
    with torch.device("meta"):
        model = FAMILIES[family].causal_lm(config)
    config.save_pretrained(tmp_path)
    found = shape.known(str(tmp_path))
    assert found is not None
    count = sum(weight.numel() for weight in model.parameters())
    assert found.parameters + found.map_parameters(4 - start) == count
    stock = FAMILIES[family].config.__mro__[2](**keys).to_dict()
    (tmp_path / "config.json").write_text(json.dumps(stock))
    assert shape.known(str(tmp_path)) == found


@pytest.mark.parametrize("family", FAMILIES)
def test_what_a_config_does_not_say_is_the_classes_default(family: str, tmp_path: Path) -> None:
    said = {"hidden_size": 128, "num_attention_heads": 32, "num_hidden_layers": 2}
    stock = FAMILIES[family].config.__mro__[2](**said)
    content = stock.to_dict()
    for key in ("num_key_value_heads", "head_dim"):
        content.pop(key, None)
    (tmp_path / "config.json").write_text(json.dumps(content))
    found = shape.known(str(tmp_path))
    assert found is not None
    assert found.kv_heads == stock.num_key_value_heads
    assert found.head_width == (getattr(stock, "head_dim", None) or 4)
