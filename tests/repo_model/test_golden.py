"""The official code's own outputs on its own checkpoint (PAPER.md section 6)."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import repo_model


@pytest.fixture
def outputs(golden: Path) -> dict[str, torch.Tensor]:
    return load_file(golden / "golden_outputs.safetensors")


def test_logits_and_positions(golden: Path, outputs) -> None:
    model = repo_model.load(golden)
    assert model.config.positions == ["rope", "repo", "repo"]
    with torch.no_grad(), repo_model.record_positions(model) as recorder:
        logits = model(outputs["input_ids"]).logits
    assert (logits - outputs["logits"]).abs().max() < 1e-5
    assert recorder.layers == [1, 2]
    for layer in recorder.layers:
        assert (recorder[layer] - outputs[f"positions.{layer}"]).abs().max() < 1e-4


def test_yarn(golden: Path, outputs) -> None:
    model = repo_model.extend(golden, 4, original=64)
    with torch.no_grad():
        logits = model(outputs["input_ids"]).logits
    assert (logits - outputs["logits_yarn4"]).abs().max() < 1e-5
    attention = model.model.layers[1].self_attn
    torch.testing.assert_close(
        attention.rotary.inv_freq, outputs["inv_freq_yarn4"], rtol=0, atol=1e-7
    )


def test_token_by_token_and_saved(golden: Path, outputs, tmp_path: Path) -> None:
    repo_model.load(golden).save_pretrained(tmp_path)
    model = repo_model.load(tmp_path)
    cache = None
    steps = []
    with torch.no_grad():
        for token_B1 in outputs["input_ids"].split(1, dim=1):
            out = model(token_B1, past_key_values=cache, use_cache=True)
            cache = out.past_key_values
            steps.append(out.logits)
    assert (torch.cat(steps, dim=1) - outputs["logits"]).abs().max() < 1e-5
