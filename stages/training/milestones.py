"""Milestones of a long run: the weights after every so many steps, as a folder that ``repo_model.load``
takes. Optimizer state is six times as much and stays with the last checkpoints only."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from stages.common.outs import building
from stages.training.checkpoint import Stored

FOLDER = "milestones"


def due(step: int, every: int) -> bool:
    """Whether ``step`` is a milestone; ``every`` 0: there are none."""
    return bool(every) and step % every == 0


def place(checkpoints: Path, step: int) -> Path:
    """Where the milestone of ``step`` stands, beside the checkpoints."""
    return checkpoints.parent / FOLDER / f"step-{step:08d}"


def write(
    checkpoint: Path,
    checkpoints: Path,
    step: int,
    config: Any,
    dtype: torch.dtype,
    frozen: Mapping[str, torch.Tensor],
) -> None:
    """Make the milestone of a complete checkpoint, entry by entry, in the model's ``dtype``.

    ``config``: of the model (transformers'). ``frozen``: weights that are not trained and in no
    checkpoint. Needs host memory for the weights in ``dtype``.
    """
    state = Stored(checkpoint)
    weights = {entry: state[entry].to(dtype) for entry in state if "|" not in entry}
    weights |= {name: value.detach().to(dtype).contiguous() for name, value in frozen.items()}
    with building(place(checkpoints, step)) as folder:
        folder.mkdir()
        config.save_pretrained(folder)
        save_file(weights, folder / "model.safetensors", {"format": "pt"})
