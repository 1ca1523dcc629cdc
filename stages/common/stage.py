"""What a stage is, and the job it is given."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from stages.common.schema import Section
    from stages.params import Params


@dataclass(frozen=True)
class Job:
    """One run of a stage: its params and, in the matrix stages, which variant and seed."""

    stage: Stage
    params: Params
    """Holds only the sections that the stage reads; any other is an ``AttributeError``."""
    variant: str | None = None
    seed: int | None = None
    definition: Section | None = None
    """The part of the variant's definition that the stage reads (``Stage.defines``)."""
    reference: str | None = None
    """The variant that others are compared with: for alarms, never for a result."""

    @property
    def label(self) -> str:
        """The stage's name as DVC writes it, e.g. ``train@rope-42``."""
        return self.stage.name if self.variant is None else f"{self.stage.name}@{self.item}"

    @property
    def item(self) -> str:
        """``<variant>-<seed>`` of a matrix stage; it names models and results."""
        if self.variant is None or self.seed is None:
            raise ValueError(f"{self.stage.name} needs --variant and --seed")
        return f"{self.variant}-{self.seed}"


@dataclass(frozen=True)
class Stage:
    """A stage of ``dvc.yaml``, as its ``stage.py`` declares it."""

    name: str
    version: int
    """Raised when the stage's results change for the same params and inputs."""
    reads: tuple[str, ...]
    """Sections of params.yaml; dvc.yaml lists the same (a test holds them equal)."""
    run: Callable[[Job], None]
    matrix: bool = False
    """Whether it runs once for each variant and seed."""
    defines: Literal["train", "evaluate"] | None = None
    """The part of a variant's definition that it reads; dvc.yaml tracks the same part."""
