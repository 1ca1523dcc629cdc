"""Checkpoints while training goes on: a copy on the host first, then a thread that writes it."""

import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import torch

from stages.training import checkpoint
from stages.training.named_state import Fragments
from stages.training.progress import Progress


class CheckpointWriter:
    """One rank's side of saving. At most one checkpoint is being written at a time."""

    def __init__(
        self,
        folder: Path,
        rank: int,
        world: int,
        attempt: str,
        keep: int,
        shapes: Mapping[str, list[int]],
        after: Callable[[Path, int], None] | None = None,
    ) -> None:
        """``after``: rank 0 calls it in the writing thread with each complete checkpoint's folder and
        step."""
        self.folder, self.rank, self.world, self.attempt = folder, rank, world, attempt
        self.keep, self.shapes, self._after = keep, shapes, after
        self.stall_s = 0.0
        """Seconds that training stood still for checkpoints, since this process started."""
        self.last_stall_s = self.last_write_s = 0.0
        self.failure: str | None = None
        """Why the last checkpoint could not be written; none where it could."""
        self.written_step: int | None = None
        self._host: Fragments = {}
        self._thread: threading.Thread | None = None

    @property
    def busy(self) -> bool:
        """Whether a checkpoint is still being written; on rank 0, by any rank."""
        return self._thread is not None and self._thread.is_alive()

    def save(self, held: Fragments, progress: Progress) -> None:
        """Copy ``held`` to the host and return; the writing goes on behind. Every rank calls it."""
        started = time.monotonic()
        self.wait()
        self._copy(held)
        self._thread = threading.Thread(target=self._write, args=(progress,), name="checkpoint")
        self._thread.start()
        self.last_stall_s = time.monotonic() - started
        self.stall_s += self.last_stall_s

    def wait(self) -> None:
        """Return once nothing is being written."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _copy(self, held: Fragments) -> None:
        """Into buffers that stay: page-locked ones cost more to make than to fill."""
        on_gpu = False
        for key, value in held.items():
            if key not in self._host or self._host[key].shape != value.shape:
                self._host[key] = torch.empty(
                    value.shape, dtype=torch.float32, pin_memory=value.is_cuda
                )
            self._host[key].copy_(value, non_blocking=value.is_cuda)
            on_gpu = on_gpu or value.is_cuda
        if on_gpu:
            torch.cuda.synchronize()

    def _write(self, progress: Progress) -> None:
        started, step = time.monotonic(), progress.position.step
        building = checkpoint.part(self.folder, step, self.attempt)
        try:
            checkpoint.write_rank(building, self.rank, self._host)
            if self.rank == 0:
                final = checkpoint.whole(self.folder, step)
                checkpoint.complete(building, final, self.world, self.shapes, progress)
                if self._after:
                    self._after(final, step)
                checkpoint.prune(self.folder, self.keep)
            self.failure, self.written_step = None, step
        except Exception as error:  # a full disk comes as OSError or as safetensors' own error
            self._failed(building, error)
        self.last_write_s = time.monotonic() - started

    def _failed(self, building: Path, error: Exception) -> None:
        self.failure = getattr(error, "strerror", None) or str(error).splitlines()[0]
        try:
            if self.rank == 0:
                checkpoint.sweep(self.folder)
            else:
                checkpoint.give_up(building, self.rank, error)
        except OSError:
            pass  # the line about the first failure says enough
