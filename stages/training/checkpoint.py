"""Checkpoints on disk: whole or absent, checked when read, the last few kept.

``step-<n>/``: ``rank-<r>.safetensors`` (the ``named_state.Fragments`` of one rank), ``index.json``
(shape of every entry), ``progress.json`` (``Progress``), then ``COMPLETE`` with the hashes of all,
written last. Each rank writes its own file; rank 0 waits for all of them and makes the whole.
"""

import errno
import math
import os
import re
import shutil
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, nullcontext
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

HASHES_AT_ONCE = 8


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


def give_up(building: Path, rank: int, error: Exception) -> None:
    """Tell rank 0 that this rank could not write, and why: a full disk has room for a name.

    safetensors' own error has the number in its text alone: ``(os error 28)``.
    """
    found = re.search(r"os error (\d+)", str(error))
    number = getattr(error, "errno", None) or (int(found[1]) if found else errno.EIO)
    building.mkdir(parents=True, exist_ok=True)
    (building / f"rank-{rank:05d}.{errno.errorcode.get(number, 'EIO')}.failed").touch()


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


def prune(folder: Path, keep: int) -> None:
    """Drop all but the last ``keep``."""
    for old in _all(folder)[:-keep]:
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


def latest(folder: Path, damage: Callable[[Path], str | None] | None = None) -> Good | None:
    """Find the newest good checkpoint; none where there is no checkpoint at all.

    ``damage``: names a damaged file of a checkpoint; by default this process hashes all of them.
    Raises ``UserError`` where there are some and all are damaged.
    """
    damaged: list[str] = []
    for found in newest_first(folder):
        if bad := (damage or damage_of)(found):
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

    def __init__(
        self, folder: Path, reading: Callable[[], AbstractContextManager[None]] = nullcontext
    ) -> None:
        """``reading``: entered for every read; on slow storage these take their time."""
        self.folder, self._reading = folder, reading
        self._shapes: dict[str, list[int]] = read_json(folder / "index.json")
        self.bytes_read = 0
        """Of the entries; each rank reads no more than it holds, but for ZeRO 0."""
        self._parts: dict[str, list[tuple[int, int, Any]]] = defaultdict(list)
        self._files = ExitStack()
        for file in sorted(folder.glob("rank-*.safetensors")):
            opened = self._files.enter_context(safe_open(file, framework="pt"))
            for key in opened.keys():  # noqa: SIM118  (not a mapping)
                entry, _, start = key.rpartition("@")
                held = opened.get_slice(key)
                self._parts[entry].append((int(start), held.get_shape()[0], held))

    def __getitem__(self, entry: str) -> Tensor:
        if entry not in self._parts:
            raise KeyError(entry)
        shape = self.shape(entry)
        return self.part(entry, 0, math.prod(shape)).view(shape)

    def part(self, entry: str, start: int, count: int) -> Tensor:
        """``count`` values of the flat entry from ``start`` on; nothing else is read."""
        found, upto = [], start
        for first, length, held in sorted(self._parts[entry], key=lambda piece: piece[0]):
            low, high = max(upto, first), min(start + count, first + length)
            if low < high and low == upto:
                with self._reading():
                    found.append(held[low - first : high - first])
                upto = high
        if upto != start + count:
            raise UserError(f"{self.folder}: {entry} is incomplete; remove this checkpoint")
        joined = torch.cat(found) if len(found) > 1 else found[0]
        self.bytes_read += joined.nbytes
        return joined

    def __contains__(self, entry: object) -> bool:
        return entry in self._parts  # Mapping's own would read the entry

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
            rank, _, reason = failed[0].stem.partition(".")
            said = os.strerror(getattr(errno, reason, errno.EIO))
            raise OSError(f"{said}: {rank} could not write its part")
        if all((building / f"rank-{rank:05d}.json").is_file() for rank in range(world)):
            return
        time.sleep(0.02)
    raise OSError(f"a rank's part did not come within {OTHER_RANKS_S:.0f} s")


def damage_of(checkpoint: Path, share: int = 0, of: int = 1) -> str | None:
    """Name of a file that is not as it was written; of ``of`` processes, each looks at its share.

    Hashing releases the interpreter's lock: several files at once.
    """
    try:
        hashes = sorted(read_json(checkpoint / "COMPLETE").items())[share::of]
        with ThreadPoolExecutor(min(HASHES_AT_ONCE, os.cpu_count() or 1)) as pool:
            return next(
                filter(None, pool.map(lambda item: _changed(checkpoint, *item), hashes)), None
            )
    except (UserError, OSError, AttributeError, SafetensorError):
        return "COMPLETE"


def _changed(checkpoint: Path, name: str, expected: str) -> str | None:
    file = checkpoint / name  # a name that leads out is none of a checkpoint's
    good = file.parent == checkpoint and file.is_file() and sha256(file) == expected
    return None if good else name


def _all(folder: Path) -> list[Path]:
    return sorted(path.parent for path in folder.glob("step-*/COMPLETE"))


def newest_first(folder: Path) -> list[Path]:
    """Every checkpoint that was completed."""
    return _all(folder)[::-1]


def size(checkpoint: Path) -> int:
    """Bytes of the tensors in it."""
    return sum(file.stat().st_size for file in checkpoint.glob("rank-*.safetensors"))


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
