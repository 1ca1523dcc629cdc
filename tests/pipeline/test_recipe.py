"""A recipe that follows the model: what comes along with an own base, and what the user keeps."""

import re
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from pipeline import check
from pipeline.overrides import compose
from pipeline.use import profiles
from stages.checks import findings
from stages.common.recipe import learning_rate
from tests.stages.checks.conftest import STAGES, write_model, write_texts

BASE = "base.source=my-model"


def composed(root: Path, profile: str, *changes: str) -> tuple[dict[str, Any], list[str]]:
    notes: list[str] = []
    text = compose(root, profile, changes, notes)
    return YAML(typ="safe", pure=True).load(text), notes


def test_smoke_takes_a_recipe_for_real_models_and_says_so(tmp_path: Path) -> None:
    write_model(tmp_path / "my-model")
    found, notes = composed(tmp_path, "smoke", BASE)
    train = found["train"]
    assert train["lr"] == pytest.approx(1e-4, rel=0.05)
    assert 0 < train["warmup_steps"] < 15
    assert train["start_layer"] == "auto"
    assert "sources" not in train["lengths"][0] or train["lengths"][0]["sources"] == ["python"]
    assert "generated" not in found["corpus"]
    assert found["tokenizer"]["source"] == "my-model"
    assert "training" not in found["base"]
    for key in ("tokenizer.source", "train.lr", "train.warmup_steps", "train.start_layer"):
        assert any(note.startswith(key) and "was" in note for note in notes), key


def test_what_the_user_set_stays(tmp_path: Path) -> None:
    write_model(tmp_path / "my-model")
    kept = ("train.lr=2e-4", "train.start_layer=3", "train.warmup_steps=4")
    found, notes = composed(tmp_path, "smoke", BASE, *kept)
    train = found["train"]
    assert (train["lr"], train["start_layer"], train["warmup_steps"]) == (2e-4, 3, 4)
    assert not any(note.startswith("train.") for note in notes)


@pytest.mark.parametrize("window", [512, 128])
def test_lengths_stay_within_the_window(window: int, tmp_path: Path) -> None:
    write_model(tmp_path / "my-model", max_position_embeddings=window)
    found, _ = composed(tmp_path, "smoke", BASE)
    assert found["train"]["lengths"][0]["length"] == min(256, window)
    assert found["benchmarks"]["lengths"][0] == min(256, window)


def test_the_base_of_a_big_profile_is_replaced_with_its_recipe(tmp_path: Path) -> None:
    write_model(tmp_path / "my-model", max_position_embeddings=2048)
    found, notes = composed(tmp_path, "olmo2-1b", BASE)
    assert found["train"]["lengths"] == [{"length": 2048, "share": 1.0}]
    assert found["train"]["batch_tokens"] % 2048 == 0
    assert found["benchmarks"]["lengths"] == [2048, 4096, 8192]
    assert found["train"]["warmup_steps"] == 100
    assert any("beyond its window" in note for note in notes)


def test_a_profile_without_an_own_base_is_as_it_was(tmp_path: Path) -> None:
    for name, text in profiles().items():
        notes: list[str] = []
        assert compose(tmp_path, name, [], notes) == text
        assert notes == []


@pytest.mark.parametrize("profile", sorted(profiles()))
@pytest.mark.parametrize("family", ["llama", "qwen3", "olmo2"])
def test_readme_s_line_has_no_finding_on_any_profile_s_recipe(
    profile: str, family: str, tmp_path: Path
) -> None:
    """README's three values; where the documents are too few for a big profile, that alone is said."""
    write_model(tmp_path / "my-model", model_type=family)
    write_texts(tmp_path / "my.jsonl")
    text = compose(
        tmp_path,
        profile,
        [
            BASE,
            "tokenizer.source=my-model",
            "corpus.path=my.jsonl",
            "benchmarks.longbench.tasks=[]",
        ],
    )
    seen = check.seen_here(check.read(tmp_path, text), tmp_path, planning=True)
    own = re.compile(
        r"^definitions\.\w+\.train\.overrides\."
    )  # said of a variant that has some too
    found = {own.sub("train.", one.field) for one in findings(seen, STAGES)}
    few = {"train.tokens", "train.lengths", "corpus.validation_share"}
    assert found <= (set() if profile == "smoke" else few)


def test_the_rate_falls_with_the_size_through_the_paper_s_two_points() -> None:
    assert learning_rate(1.485e9) == pytest.approx(7.4487e-5, rel=0.02)
    assert learning_rate(7.299e9) == pytest.approx(6.1499e-5, rel=0.02)
    assert learning_rate(135e6) > learning_rate(1e9)
