"""A cluster in a YAML file: what ``plan`` reckons with and where ``submit`` sends a run.

It holds no secret: tokens and keys come from the environment or from files of their own.
"""

from pathlib import Path
from typing import Annotated

from pydantic import Field, field_validator

from stages.common import variables
from stages.common.findings import stop
from stages.common.reading import parse, read_yaml
from stages.common.schema import Count, NonNegative, Section, Share


class ClusterFile(Section):
    """Machines and the way to them; every key is optional."""

    address: str | None = None
    """Of the Ray dashboard, ``http(s)://host:port``; ``slurm:`` for the Slurm of the login node."""
    slurm: list[str] = Field(default_factory=list)
    """Options for sbatch, ``--partition=gpu``; with an address ``slurm:``."""
    gpu: str | None = None
    """Kind of GPU (``pipeline/estimate/gpus.json``)."""
    gpus: Annotated[int, Field(ge=0)] = 0
    """GPUs of the whole cluster."""
    cpus: Count | None = None
    """CPU cores of the whole cluster; none: 16 for each GPU."""
    price: NonNegative | None = None
    """Of one GPU (without GPUs: of the whole) for an hour, in any currency."""
    mfu: Annotated[Share, Field(gt=0.0)] | None = None
    """Model FLOPs utilisation, causal, as measured there; none: assumed."""
    runs: str | None = None
    """Folder that all nodes share (their ``REPO_RUNS``); none: as the nodes' environment says."""
    environment: dict[str, str] = Field(default_factory=dict)
    """``REPO_*`` settings of the run there."""

    @field_validator("environment")
    @classmethod
    def _settings_only(cls, value: dict[str, str]) -> dict[str, str]:
        wrong = [name for name in value if not name.startswith("REPO_")]
        if wrong:
            raise ValueError(
                f"{wrong[0]} is no REPO_* setting; give secrets to the cluster's own environment"
            )
        return value


def read(path: Path) -> ClusterFile:
    """Read and check a cluster file; a mistake is a ``UserError``."""
    described = parse(ClusterFile, read_yaml(path), str(path))
    stop(variables.check(described.environment, f"{path}: environment."))
    return described
