"""What a run says that it starts from."""

from pathlib import Path

import torch

import repo_model
from stages.training.named_state import weights_of
from stages.training.start import start_line
from tests.stages.training.small import model


def test_what_is_loaded_and_what_is_fresh(tmp_path: Path) -> None:
    whole = model()
    count = sum(p.numel() for p in whole.parameters())
    assert start_line(whole, None, weights_of(whole), 0) == (
        f"starts from {count:,} parameters, all fresh"
    )
    base = tmp_path / "base"
    whole.save_pretrained(base)  # type: ignore[operator]
    said = start_line(whole, base, weights_of(whole), 0)
    assert said == f"starts from {count:,} parameters of base, none fresh"
    more = repo_model.load(base, positions="repo", start_layer=0)
    maps = sum(p.numel() for n, p in more.named_parameters() if "layers.0" in n and "_map." in n)
    assert start_line(more, base, weights_of(more), 0) == (
        f"starts from {count + maps:,} parameters of base, {maps:,} fresh "
        "(the position maps of layer 0)"
    )


def test_moments_are_counted(tmp_path: Path) -> None:
    net = model()
    state = {**weights_of(net), "model.norm.weight|exp_avg": torch.ones(16)}
    said = start_line(net, None, state, 1000)
    assert said.endswith(
        ", all fresh, Adam's moments of 1 of them by name after 1,000 updates and 27 without"
    )
