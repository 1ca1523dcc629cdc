"""Adam's state to start from, beside the weights: ``moments.safetensors`` of a base model.

The paper's run went on with the moments of the OLMo-native checkpoint (PAPER.md section 3).
"""

from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from stages.common.errors import UserError
from stages.training.named_state import MOMENTS, State

FILE = "moments.safetensors"


def save_moments(folder: Path, moments: dict[str, Tensor], updates: int) -> None:
    """Write ``<parameter>|exp_avg`` and ``|exp_avg_sq`` (fp32) after ``updates`` steps."""
    contents = {name: value.float().contiguous() for name, value in moments.items()}
    save_file(contents, folder / FILE, {"updates": str(updates)})


def updates_of(file: Path | None) -> int:
    """Optimizer steps that made the moments; 0 without a file."""
    if file is None:
        return 0
    with safe_open(file, framework="pt") as stored:
        return int((stored.metadata() or {}).get("updates", 0))


def with_moments(weights: dict[str, Tensor], file: Path | None) -> State:
    """``weights`` with the moments of ``file`` where it has some.

    Parameters that are new (RePo's maps) start from zero moments and the same step count: ZeRO 1 to 3
    keep one count for all, so their first updates are 0.45 of a full one (0.1 g over sqrt(0.05 g^2)).
    """
    if file is None:
        return weights
    state, updates = dict(weights), updates_of(file)
    with safe_open(file, framework="pt") as stored:
        names = set(stored.keys())
        for name, weight in weights.items():
            for moment in MOMENTS:
                entry = f"{name}|{moment}"
                value: Tensor
                if entry in names:
                    value = stored.get_tensor(entry)
                else:
                    value = torch.zeros_like(weight)
                if value.shape != weight.shape:
                    raise UserError(
                        f"{file}: {entry} has shape {list(value.shape)}, the weight "
                        f"{list(weight.shape)}; the moments are of another model"
                    )
                state[entry] = value.to(torch.float32)
            state[f"{name}|step"] = torch.tensor(float(updates))
    return state
