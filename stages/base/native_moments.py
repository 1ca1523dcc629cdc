"""Adam's moments of an OLMo-native checkpoint, by Hugging Face parameter names.

``optim.pt`` beside ``model.pt`` holds ``{"state": {<OLMo name>: {"exp_avg", "exp_avg_sq", "step"}}}``,
each moment of its weight's shape: what converts the weights converts the moments.
"""

from pathlib import Path
from typing import Any

import torch

from repo_model.olmo_native import convert_weights
from stages.common.errors import UserError
from stages.training.moments import save_moments
from stages.training.named_state import MOMENTS

FILE = "optim.pt"


def add_moments(source: Path, model: Any, out: Path) -> None:
    """Write the moments of ``source`` beside the model in ``out`` and say what they cover.

    Raises ``UserError`` where ``source`` has none, or has them in another form.
    """
    file = source / FILE
    if not file.is_file():
        raise UserError(
            f"base.moments is true, but {str(file)!r} is no file; give an OLMo-native folder, or false"
        )
    # Without weights_only a pickle could run code; with mmap only what is used is read.
    state = torch.load(file, map_location="cpu", weights_only=True, mmap=True).get("state", {})
    if not state or not all(isinstance(name, str) for name in state):
        raise UserError(f"{file}: no optimizer state by parameter name; unshard the checkpoint")
    names = {name.removeprefix("module."): entry for name, entry in state.items()}
    found: dict[str, torch.Tensor] = {}
    try:
        for moment in MOMENTS:
            by_name = {name: entry[moment] for name, entry in names.items()}
            for name, value in convert_weights(by_name).items():
                found[f"{name}|{moment}"] = value
        updates = int(max(float(entry["step"]) for entry in names.values()))
    except (KeyError, ValueError) as error:
        raise UserError(
            f"{file}: {str(error).strip()}: not Adam's state of an OLMo model"
        ) from None
    weights = dict(model.named_parameters())
    for entry, value in found.items():
        weight = weights.get(entry.partition("|")[0])
        if weight is None or weight.shape != value.shape:
            raise UserError(f"{file}: {entry} does not fit the model; it is of another one")
    save_moments(out, found, updates)
    covered = len(found) // len(MOMENTS)
    print(
        f"base: Adam's moments of {covered} of {len(weights)} parameters after {updates:,} updates",
        flush=True,
    )
