"""What the checks believe of ``repo_model`` is what it does: families, frequencies, extension."""

from pathlib import Path
from typing import Any

import pytest
from transformers import LlamaConfig, LlamaForCausalLM

import repo_model
from repo_model.families import FAMILIES
from repo_model.family_facts import FACTS
from stages.base.check_rotation import ROPE_TYPES
from stages.common import shape
from stages.extend.check import EXTENDABLE
from stages.training.check import FUSED

SCALINGS: dict[str, dict[str, Any]] = {
    "default": {},
    "linear": {"factor": 2.0},
    "dynamic": {"factor": 2.0},
    "yarn": {"factor": 2.0, "original_max_position_embeddings": 64},
    "longrope": {
        "short_factor": [1.0] * 4,
        "long_factor": [2.0] * 4,
        "original_max_position_embeddings": 64,
        "factor": 2.0,
    },
    "llama3": {
        "factor": 2.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 64,
    },
}


def test_families_with_one_matrix_for_three_projections() -> None:
    assert {name for name, facts in FACTS.items() if facts.projections == "fused"} == {*FUSED}


@pytest.fixture(scope="module")
def scaled(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    found = {}
    for kind, values in SCALINGS.items():
        config = LlamaConfig(
            vocab_size=32,
            hidden_size=16,
            intermediate_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            num_key_value_heads=2,
            max_position_embeddings=128,
            rope_parameters={"rope_type": kind, "rope_theta": 10000.0, **values},
        )
        found[kind] = tmp_path_factory.mktemp(kind)
        LlamaForCausalLM(config).save_pretrained(found[kind])
    return found


def works(work: Any) -> bool:
    try:
        work()
    except ValueError:
        return False
    return True


@pytest.mark.parametrize("kind", SCALINGS)
def test_frequencies_that_can_be_read_and_extended(kind: str, scaled: dict[str, Path]) -> None:
    reads = works(lambda: repo_model.load(str(scaled[kind]), positions="repo", start_layer=0))
    assert reads == (kind in ROPE_TYPES)
    if reads:
        model = repo_model.load(str(scaled[kind]), positions="repo", start_layer=0)
        assert works(lambda: repo_model.extend(model, 2.0, 64)) == (kind in EXTENDABLE)


def test_the_families_are_those_of_repo_model() -> None:
    assert set(shape.FAMILIES) == set(FAMILIES)
