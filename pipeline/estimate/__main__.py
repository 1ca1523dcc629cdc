"""``python -m pipeline.estimate``: the estimate of ``repo-pipeline plan``, alone."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from pipeline.estimate.planned import machines, planned, render
from stages.common.errors import USER_MISTAKE, UserError


def main(
    stages: Annotated[list[str] | None, typer.Argument(help="Stages; none: all.")] = None,
    profile: Annotated[str | None, typer.Option(help="A profile instead of params.yaml.")] = None,
    override: Annotated[list[str] | None, typer.Option("--set", help="section.key=value")] = None,
    cluster: Annotated[Path | None, typer.Option(help="A cluster file.")] = None,
    gpu: Annotated[str | None, typer.Option(help="Kind of GPU, e.g. h200.")] = None,
    gpus: Annotated[int | None, typer.Option(help="How many.")] = None,
    price: Annotated[float | None, typer.Option(help="Of one GPU for an hour.")] = None,
    mfu: Annotated[float | None, typer.Option(help="Causal MFU, as measured.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON instead of a table.")] = False,
) -> None:
    """Print what would run, why, and what it would take."""
    try:
        on = machines(cluster, gpu, gpus, price, mfu)
        found = planned(Path.cwd(), stages or [], on, profile, override or [])
    except UserError as error:
        print(f"repo-pipeline: {error}", file=sys.stderr)
        sys.exit(USER_MISTAKE)
    print(render(found, as_json))


if __name__ == "__main__":
    typer.run(main)
