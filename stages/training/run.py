"""What a training run is, and where it keeps its state."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from torch import nn

from stages.common.token_files import home
from stages.training.params import TrainingParams

STOP = "stop"
"""A file of this name in the run's folder asks the workers to save and end."""
SAVE = "save"
"""A file of this name asks for a checkpoint at once: a node is about to go."""
STOPPED = "stopped.json"
MISTAKE = "mistake.json"
RESERVE, RESERVE_BYTES = "reserve", 65536
"""Room that is given up on a full disk, so that the user can still be told."""
LIVE = "live.json"
START = "start.json"
"""Positions before the first step, and how far the schedule lets the maps travel."""
SOURCES = "sources.json"
"""What the run takes of each source: tokens, share, passes."""
LOG = "log.jsonl"
"""The loss curve; it comes last and means done."""


@dataclass(frozen=True)
class Run:
    """Everything a worker needs to know."""

    params: TrainingParams
    seed: int
    tokens: Path
    folder: Path
    build: Callable[[], nn.Module]
    """Makes the starting model, equal on every rank: its weights come from a file or from a seed."""
    base: Path | None = None
    """The model that it starts from, to tell what is fresh; none: all is."""
    moments: Path | None = None
    """``stages.training.moments``: Adam's state to start from; none: from nothing."""
    reference_curve: Path | None = None
    """Loss curve (CSV) of the reference run on the same data, to be alarmed by; never a result."""
    token_files: Path = field(default_factory=home)
    """Where token files of a published list are (the driver knows)."""

    @property
    def checkpoints(self) -> Path:
        """Folder of the checkpoints."""
        return self.folder / "checkpoints"

    @property
    def final(self) -> Path:
        """The finished model."""
        return self.folder / "final"
