"""Checkpoints on disk: whole or absent, checked when read, the last two kept.

``step-<n>/``: ``state.safetensors`` (``named_state.State``), ``progress.json`` (``Progress``), then
``COMPLETE`` with the hashes of both, written last.
"""

import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

from safetensors.torch import load_file, save_file

from stages.common.files import read_json, sha256, write_json
from stages.common.training.named_state import State

FORMAT = 1
KEPT = 2


@dataclass(frozen=True)
class Progress:
    """Where a run stands; with the seed it determines the data that comes next."""

    step: int
    tokens: int
    log: list[dict[str, float]]
    """The loss curve so far."""
    format: int = FORMAT


def save(folder: Path, state: State, progress: Progress) -> Path:
    """Write the checkpoint of ``progress.step`` under ``folder`` and drop the oldest."""
    final = folder / f"step-{progress.step:08d}"
    building = folder / f".{final.name}.part"
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir(parents=True)
    save_file(state, building / "state.safetensors")
    write_json(building / "progress.json", asdict(progress))
    names = ("state.safetensors", "progress.json")
    write_json(building / "COMPLETE", {name: sha256(building / name) for name in names})
    if final.exists():
        shutil.rmtree(final)
    building.rename(final)
    for old in _complete(folder)[:-KEPT]:
        shutil.rmtree(old)
    return final


def latest(folder: Path) -> tuple[State, Progress] | None:
    """The newest checkpoint that passes its checksums; damaged ones are named and passed over."""
    for checkpoint in reversed(_complete(folder)):
        hashes = read_json(checkpoint / "COMPLETE")
        damaged = [
            name
            for name, expected in hashes.items()
            if not (checkpoint / name).is_file() or sha256(checkpoint / name) != expected
        ]
        if damaged:
            print(
                f"{checkpoint}: {damaged[0]} is damaged; going back to an earlier one", flush=True
            )
            continue
        progress = Progress(**read_json(checkpoint / "progress.json"))
        if progress.format == FORMAT:
            return load_file(checkpoint / "state.safetensors"), progress
    return None


def _complete(folder: Path) -> list[Path]:
    return sorted(path.parent for path in folder.glob("step-*/COMPLETE"))
