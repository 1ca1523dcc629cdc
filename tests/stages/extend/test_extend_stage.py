"""The extension: zero-shot, or trained on at the extended length."""

from pathlib import Path
from typing import Any

import pytest
import torch
from ruamel.yaml import YAML
from safetensors.torch import load_file

from pipeline.use import profiles
from stages.common import paths
from stages.common.errors import UserError
from stages.common.files import read_json
from stages.common.stage import Job
from stages.extend.stage import STAGE, run
from stages.params import load
from tests.stages.conftest import make_tokens
from tests.stages.training.small import model

TRAINING = {
    "tokens": 6 * 256,
    "batch_tokens": 256,
    "lengths": [{"length": 64, "share": 1.0}],
    "lr": 0.01,
    "betas": [0.9, 0.95],
    "eps": 1e-8,
    "weight_decay": 0.1,
    "grad_clip": 1.0,
    "z_loss": 0.0,
    "warmup_steps": 0,
    "decay_share": 1.0,
    "precision": "fp32",
}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project that has a trained model of 32 tokens and its tokens."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REPO_RUNS", str(tmp_path / "runs"))
    make_tokens(tmp_path / paths.TOKENS)
    model().save_pretrained(tmp_path / paths.model("repo-1"))  # type: ignore[operator]
    return tmp_path


def job(project: Path, training: dict[str, Any] | None) -> Job:
    content = YAML(typ="safe").load(profiles()["smoke"])
    content["extend"]["training"] = training
    with open(project / "params.yaml", "w") as file:
        YAML().dump(content, file)
    return Job(STAGE, load(project / "params.yaml"), "repo", 1)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def test_zero_shot_changes_no_weight(project: Path) -> None:
    run(job(project, None))
    out = project / paths.extended("repo-1")
    before, after = weights(project / paths.model("repo-1")), weights(out)
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    config = read_json(out / "config.json")
    assert config["rope_parameters"]["factor"] == 4.0
    assert "extension_steps" not in config
    assert str(project) not in (out / "config.json").read_text()


def test_a_sequence_beyond_the_extended_window_is_refused(project: Path) -> None:
    longer = {**TRAINING, "lengths": [{"length": 256, "share": 1.0}]}
    with pytest.raises(UserError, match=r"extend\.training\.lengths has 256, beyond .* 128 tokens"):
        run(job(project, longer))


@pytest.mark.ray
@pytest.mark.stress
def test_it_is_trained_on_at_the_extended_length(project: Path, ray_session: str) -> None:
    run(job(project, TRAINING))
    out = project / paths.extended("repo-1")
    before, after = weights(project / paths.model("repo-1")), weights(out)
    assert not torch.equal(before["model.norm.weight"], after["model.norm.weight"])
    config = read_json(out / "config.json")
    assert config["rope_parameters"]["factor"] == 4.0
    assert config["extension_steps"] == 6
