"""Checkpoints on disk: whole or absent, checked when read, the last few and milestones kept.

``step-<n>/``: ``rank-<r>.safetensors`` (the ``named_state.Fragments`` of one rank), ``index.json``
(shape of every entry), ``progress.json`` (``Progress``), then ``COMPLETE`` with the hashes of all,
written last. Each rank writes its own file; rank 0 waits for all of them and makes the whole.
"""

import math
import os
import shutil
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from stages.common.errors import UserError
from stages.common.files import read_json, sha256, write_json
from stages.training.named_state import Fragments
from stages.training.progress import Progress

OTHER_RANKS_S = 600.0
"""How long rank 0 waits for the other ranks' files; storage that is slower than that is broken."""


def part(folder: Path, step: int, attempt: str) -> Path:
    """Where the checkpoint of ``step`` is built; a name per attempt, for a killed run's ranks may
    outlive it and still write."""
    return folder / f".step-{step:08d}.{attempt}.part"


def whole(folder: Path, step: int) -> Path:
    """Where it stands once it is complete."""
    return folder / f"step-{step:08d}"


def write_rank(building: Path, rank: int, held: Fragments) -> None:
    """Write one rank's fragments, then the small file that says they are there."""
    building.mkdir(parents=True, exist_ok=True)
    file = building / f"rank-{rank:05d}.safetensors"
    save_file(held, file)
    with open(file, "rb") as written:
        os.fsync(written.fileno())
    write_json(file.with_suffix(".json"), {"sha256": sha256(file)})


def give_up(building: Path, rank: int) -> None:
    """Tell rank 0 that this rank could not write (a full disk has room for an empty file)."""
    building.mkdir(parents=True, exist_ok=True)
    (building / f"rank-{rank:05d}.failed").touch()


def complete(
    building: Path, final: Path, world: int, shapes: Mapping[str, list[int]], progress: Progress
) -> None:
    """Wait for every rank's file, seal the checkpoint and give it its name."""
    _await_ranks(building, world)
    write_json(building / "progress.json", progress.to_json())
    write_json(building / "index.json", dict(shapes))
    hashes = {name: sha256(building / name) for name in ("progress.json", "index.json")}
    for rank in range(world):
        file = building / f"rank-{rank:05d}.json"
        hashes[file.with_suffix(".safetensors").name] = read_json(file)["sha256"]
        file.unlink()
    write_json(building / "COMPLETE", hashes)
    shutil.rmtree(final, ignore_errors=True)
    building.rename(final)
    _sync(final.parent)


def prune(folder: Path, keep: int, milestone_steps: int) -> None:
    """Drop all but the last ``keep`` and every multiple of ``milestone_steps`` (0: no milestones)."""
    for old in _all(folder)[:-keep]:
        if not (milestone_steps and _step(old) % milestone_steps == 0):
            (old / "COMPLETE").unlink()  # first: a half-removed checkpoint must not look whole
            shutil.rmtree(old)


def sweep(folder: Path) -> None:
    """Remove what killed attempts left half-written."""
    for building in folder.glob(".step-*.part"):
        shutil.rmtree(building, ignore_errors=True)


@dataclass(frozen=True)
class Good:
    """The newest checkpoint that passed its checksums, and those passed over to find it."""

    folder: Path
    progress: Progress
    damaged: tuple[str, ...]
    """One line for each newer one that is damaged."""


def latest(folder: Path) -> Good | None:
    """Find the newest good checkpoint; none where there is no checkpoint at all.

    Raises ``UserError`` where there are some and all are damaged.
    """
    damaged: list[str] = []
    for found in reversed(_all(folder)):
        if bad := _damage(found):
            damaged.append(f"{found}: {bad} is damaged; going back to an earlier one")
            continue
        source = found / "progress.json"
        return Good(found, Progress.from_json(read_json(source), str(source)), tuple(damaged))
    if damaged:
        raise UserError(
            f"{folder}: all {len(damaged)} checkpoints are damaged; remove the folder to train "
            "from the start"
        )
    return None


class Stored(Mapping[str, Tensor]):
    """The state in a checkpoint, read entry by entry: no rank ever holds all of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._shapes: dict[str, list[int]] = read_json(folder / "index.json")
        self._parts: dict[str, list[tuple[int, str, Any]]] = defaultdict(list)
        self._files = ExitStack()
        for file in sorted(folder.glob("rank-*.safetensors")):
            opened = self._files.enter_context(safe_open(file, framework="pt"))
            for key in opened.keys():  # noqa: SIM118  (not a mapping)
                entry, _, start = key.rpartition("@")
                self._parts[entry].append((int(start), key, opened))

    def __getitem__(self, entry: str) -> Tensor:
        if entry not in self._parts:
            raise KeyError(entry)
        shape = self.shape(entry)
        values = [
            file.get_tensor(key)
            for _, key, file in sorted(self._parts[entry], key=lambda held: held[0])
        ]
        joined = torch.cat(values) if len(values) > 1 else values[0]
        if joined.numel() != math.prod(shape):
            raise UserError(f"{self.folder}: {entry} is incomplete; remove this checkpoint")
        return joined.view(shape)

    def __iter__(self) -> Iterator[str]:
        return iter(self._parts)

    def __len__(self) -> int:
        return len(self._parts)

    def shape(self, entry: str) -> list[int]:
        """Shape of an entry: its parameter's, but a step count is one number."""
        name, _, key = entry.partition("|")
        return [] if key == "step" else self._shapes[name]

    def check(self, shapes: Mapping[str, list[int]]) -> None:
        """Refuse a checkpoint that is not of the model with these parameters."""
        for name in sorted(set(shapes) | set(self._shapes)):
            mine, theirs = shapes.get(name), self._shapes.get(name)
            if mine != theirs:
                raise UserError(
                    f"{self.folder} is of another model: {name} is {theirs or 'absent'} there, "
                    f"{mine or 'absent'} here; remove the folder or restore the model"
                )


def _await_ranks(building: Path, world: int) -> None:
    deadline = time.monotonic() + OTHER_RANKS_S
    while time.monotonic() < deadline:
        if failed := sorted(building.glob("rank-*.failed")):
            raise OSError(f"{failed[0].stem} could not write its part")
        if all((building / f"rank-{rank:05d}.json").is_file() for rank in range(world)):
            return
        time.sleep(0.02)
    raise OSError(f"a rank's part did not come within {OTHER_RANKS_S:.0f} s")


def _damage(checkpoint: Path) -> str | None:
    """Name of a file that is not as it was written."""
    try:
        hashes = read_json(checkpoint / "COMPLETE")
        for name, expected in hashes.items():
            if not (checkpoint / name).is_file() or sha256(checkpoint / name) != expected:
                return str(name)
    except (UserError, OSError, AttributeError, SafetensorError):
        return "COMPLETE"
    return None


def _all(folder: Path) -> list[Path]:
    return sorted(path.parent for path in folder.glob("step-*/COMPLETE"))


def _step(checkpoint: Path) -> int:
    return int(checkpoint.name.removeprefix("step-"))


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
