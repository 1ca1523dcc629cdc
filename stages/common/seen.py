"""What a check may look at: params, the project's folder, the environment and the machine."""

import json
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from stages.common import paths, variables
from stages.common.config_numbers import odd_number
from stages.common.errors import UserError
from stages.common.findings import Finding, refuse, warn
from stages.common.rope import rope_of
from stages.common.shape import Shape, known
from stages.common.tracked import dvc_files

if TYPE_CHECKING:
    from stages.params import Params

HUB_CACHE = ".cache/huggingface/hub"
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
"""OWNER/NAME, as the hub takes it."""


NO_PATHS = {
    "~": "write the whole path: only a shell knows ~",
    "://": "an address is not fetched here: fetch it, and name what you have",
    "*": "patterns are not read: name a file or a folder",
}
"""What people write for a path that is none, and the fix."""


@dataclass(frozen=True)
class Place:
    """The machine that would do the work."""

    cores: int | None
    """Of a local Ray; none: Ray's own business (a cluster)."""
    gpus: int | None
    """None: not known."""
    memory_bytes: float | None = None
    """Of the host."""


@dataclass(frozen=True)
class Seen:
    """Given to every ``stages.<name>.check``; nothing here imports torch or touches the network."""

    params: "Params"
    root: Path
    """Folder that relative paths of the params start from."""
    environment: Mapping[str, str] = field(default_factory=dict)
    place: Place = field(default_factory=lambda: Place(None, None))
    planning: bool = False
    """Whether this is ``plan`` or ``use``: what must be fetched before a run is only a warning."""
    elsewhere: bool = False
    """Whether the work is done on another machine, whose files cannot be seen from here."""
    found: dict[str, list[Finding]] = field(
        default_factory=dict, init=False, compare=False, repr=False
    )
    """By stage, what its checks said (``stages.checks``)."""

    @cached_property
    def base(self) -> "Base":
        """The base model, as far as it can be seen."""
        return Base.of(self.params.base.source, self.params.base.revision, self.root)

    def path(self, name: str) -> Path:
        """A path of the params."""
        return self.root / name

    def made_here(self, name: str) -> bool:
        """Whether a path of the params is, or is in, what the graph's own stages make."""
        items = [f"{v}-{seed}" for v in self.params.variants for seed in self.params.seeds]
        models = [paths.BASE, *map(paths.model, items), *map(paths.extended, items)]
        data = [paths.CORPUS, paths.TOKENIZER, paths.TOKENS, paths.BENCHMARKS]
        outs = [*data, *models, paths.RESULTS, paths.ANALYSIS, paths.REPORT]
        path = Path(os.path.normpath(self.path(name)))
        return any(path.is_relative_to(os.path.normpath(self.root / out)) for out in outs)

    def absent(self, name: str) -> Callable[[str, Any, str, str], Finding]:
        """How bad it is that a path of the params is not here: another machine may have it.

        What is sent to a cluster is the commit and what DVC tracks; an absolute path is there or not.
        """
        tracked = dvc_files(self.root, [name])
        level = warn if self.elsewhere and (Path(name).is_absolute() or tracked) else refuse
        fix = next((fix for sign, fix in NO_PATHS.items() if sign in name), None)
        if tracked:
            there = f"the cluster pulls what {tracked[0]} records"
            fix = there if self.elsewhere else f"`dvc pull {tracked[0]}` brings it"
        return level if fix is None else lambda field, value, why, _: level(field, value, why, fix)

    def unreachable(self, field: str, source: str, cached: bool) -> Iterator[Finding]:
        """A hub id that is not in the hub's cache where the hub may not be asked."""
        offline = self.environment.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE")
        if not cached and offline and is_hub_id(source):
            level = warn if self.planning or self.elsewhere else refuse
            yield level(
                field,
                source,
                "no such folder, and the hub's cache has no model of that name; HF_HUB_OFFLINE "
                "forbids to ask the hub",
                "correct the name, or unset HF_HUB_OFFLINE and fetch it once",
            )

    def whole(self, name: str) -> int:
        """A variable of the run; a wrong one has a finding of its own and reads as its default."""
        try:
            return variables.whole(name, environment=self.environment)
        except UserError:
            return variables.whole(name, environment={})


@dataclass(frozen=True)
class Base:
    """A model folder by its files: of the user's, or as the hub's cache has it."""

    source: str
    folder: Path | None
    """None: from scratch, or on the hub and not on this machine."""
    config: dict[str, Any] | None
    """Of config.json; none: no such file, or not JSON."""
    shape: Shape | None
    """Of config.json, else of the table that ships."""

    @classmethod
    def of(cls, source: str, revision: str | None, root: Path) -> "Base":
        """Look at ``source``; never raises for what is wrong with it."""
        folder = None if source == "scratch" else model_folder(source, revision, root)
        config = None
        if folder is not None:
            try:
                config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
            except (OSError, ValueError):
                config = None
        config = config if isinstance(config, dict) else None
        shape = None
        try:
            if source != "scratch" and not (config and odd_number(config)):
                shape = known(str(folder) if folder else source)
        except (KeyError, TypeError, ValueError, ZeroDivisionError, AttributeError):
            shape = None
        return cls(source, folder, config, shape)

    @property
    def on_hub(self) -> bool:
        """Whether the source can be a hub id: OWNER/NAME."""
        return is_hub_id(self.source)

    @property
    def layers(self) -> int | None:
        """Depth, where it is known."""
        return self.shape.layers if self.shape else None

    @property
    def window(self) -> int | None:
        """``max_position_embeddings``, where it is known."""
        return self.shape.window if self.shape else None

    @property
    def rope(self) -> dict[str, Any]:
        """``rope_parameters`` or ``rope_scaling`` with the key ``rope_type``; empty: plain."""
        scaling = rope_of(self.config or {})
        kind = scaling.get("stock_rope_type") or scaling.get("rope_type") or scaling.get("type")
        return {**scaling, "rope_type": kind or "default"}

    @property
    def rope_type(self) -> str:
        """``default`` where frequencies are not scaled."""
        return str(self.rope.get("rope_type", "default"))


def is_hub_id(source: str) -> bool:
    """Whether ``source`` can be OWNER/NAME; whatever else is no word of ours must be a folder."""
    return HUB_ID.fullmatch(source) is not None and ".." not in source


def model_folder(source: str, revision: str | None, root: Path) -> Path | None:
    """A local folder, else what the hub's cache holds of ``source``."""
    if (root / source).is_dir():
        return root / source
    home = os.environ.get("HF_HUB_CACHE") or (
        Path(os.environ["HF_HOME"]) / "hub" if os.environ.get("HF_HOME") else None
    )
    # A process without HOME and passwd entry has no cache either.
    cache = Path(home) if home else Path(os.environ.get("HOME", "/nonexistent")) / HUB_CACHE
    kept = cache / f"models--{source.replace('/', '--')}"
    ref = kept / "refs" / (revision or "main")
    commit = ref.read_text(encoding="utf-8").strip() if ref.is_file() else revision or "main"
    snapshot = kept / "snapshots" / commit
    return snapshot if (snapshot / "config.json").exists() else None


def this_machine(environment: Mapping[str, str]) -> Place:
    """The place of a run that starts a local Ray; one that joins a Ray knows neither."""
    if environment.get("RAY_ADDRESS"):
        return Place(None, None)
    affinity = getattr(os, "sched_getaffinity", None)  # not on a Mac
    here = len(affinity(0)) if affinity else os.cpu_count() or 1
    try:
        cores = variables.whole("REPO_CPUS", here, environment)
    except UserError:
        cores = here
    return Place(cores, _gpus(), float(psutil.virtual_memory().total))


DEVICES = ("nvidia[0-9]*", "kfd", "dxg", "accel*", "neuron*", "davinci*", "xpu*", "dri/render*")
"""Files of /dev that some accelerator has; of which kind and how many, only Ray knows."""


def _gpus() -> int | None:
    """GPUs of this machine: NVIDIA's as its driver counts them; 0 where Linux has none of any kind."""
    count = len(list(Path("/proc/driver/nvidia/gpus").glob("*")))
    other = any(True for name in DEVICES for _ in Path("/dev").glob(name))
    return count or (0 if sys.platform == "linux" and not other else None)
