"""A variant that is not trained: a kept milestone, or the mean of several models' weights, as an item.

``definitions.<name>.train.from`` names model folders with their hashes. The hash is the identity, for
a milestone is no out of the graph: DVC sees it with the variant's params. To read hashes:

    python -m stages.train.origins FOLDER...
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from stages.common.errors import UserError
from stages.common.files import fingerprint
from stages.common.variants import Origin


def verify(origins: Sequence[Origin], field: str) -> None:
    """Raise ``UserError`` unless every folder is there and is what was named."""
    if not origins:
        raise UserError(f"{field}: none of them is for this seed; add one, or leave out its seed")
    for one in origins:
        if not (Path(one.folder) / "config.json").is_file():
            raise UserError(
                f"{field}: {one.folder} is no model folder; milestones stand in "
                "$REPO_RUNS/train/*/milestones, those of finished runs in $REPO_RUNS/finished"
            )
        if (found := fingerprint(Path(one.folder))) != one.sha256:
            raise UserError(
                f"{field}: {one.folder} has sha256 {found}, not {one.sha256}; write it, or take the "
                "model that was meant"
            )


def model_of(origins: Sequence[Origin], positions: list[str], field: str) -> Any:
    """The one model, or the mean of several; ``UserError`` where they are not alike."""
    import torch

    from stages.common.models import load_model

    first = load_model(Path(origins[0].folder), f"{field}.0.folder")
    _check(first, positions, f"{field}.0.folder is {origins[0].folder}")
    if len(origins) == 1:
        return first
    sums = {name: weight.detach().double() for name, weight in first.named_parameters()}
    for place, one in enumerate(origins[1:], start=1):
        other = load_model(Path(one.folder), f"{field}.{place}.folder")
        _check(other, positions, f"{field}.{place}.folder is {one.folder}")
        weights = dict(other.named_parameters())
        shapes = {name: weight.shape for name, weight in weights.items()}
        if shapes != {name: weight.shape for name, weight in sums.items()}:
            raise UserError(
                f"{field}.{place}.folder is {one.folder}: it has other weights than "
                f"{origins[0].folder}; a mean needs models of one shape"
            )
        for name, weight in weights.items():
            sums[name] += weight.detach().double()
    with torch.no_grad():
        for name, weight in first.named_parameters():
            weight.copy_(sums[name] / len(origins))
    return first


def _check(model: Any, positions: list[str], what: str) -> None:
    refuse_other(model.config.positions, positions, what)


def refuse_other(found: Sequence[str], positions: list[str], what: str) -> None:
    """Raise ``UserError`` unless a model has the layers that its variant is defined by."""
    if list(found) != positions:
        raise UserError(
            f"{what}: its layers are {', '.join(found)}, the definition's {', '.join(positions)}; "
            "write positions as the model has them"
        )


def main(folders: Sequence[str]) -> None:
    """Print what ``from`` takes."""
    for folder in folders:
        print(f"- {{folder: {folder}, sha256: {fingerprint(Path(folder))}}}")


if __name__ == "__main__":
    main(sys.argv[1:])
