"""``repo-pipeline plan`` as one call: decisions, estimate, and how they are shown."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pipeline import check, cluster_file, finished
from pipeline.cluster_file import ClusterFile
from pipeline.estimate.estimate import Estimate, estimate, scheduled
from pipeline.estimate.show import table
from pipeline.estimate.view import project_with, share_hashes
from pipeline.overrides import compose
from stages.common.errors import UserError
from stages.common.findings import Finding
from stages.common.seen import Seen
from stages.training.planned import data_of


def machines(
    cluster: Path | None = None,
    gpu: str | None = None,
    gpus: int | None = None,
    price: float | None = None,
    mfu: float | None = None,
) -> ClusterFile:
    """The cluster file with the options in its place; neither means this machine's cores."""
    given = {"gpu": gpu, "gpus": gpus, "price": price, "mfu": mfu}
    values = cluster_file.read(cluster).model_dump() if cluster else {}
    values |= {name: value for name, value in given.items() if value is not None}
    if gpu is not None and gpus is None and not cluster:
        values["gpus"] = 1
    if price is not None and price < 0:
        raise UserError(f"--price is {price:g}: give what a GPU costs for an hour, 0 or more")
    if mfu is not None and not 0 < mfu <= 1:
        raise UserError(f"--mfu is {mfu:g}: give a share above 0, up to 1, e.g. 0.45")
    if gpu is None and gpus and not cluster:
        raise UserError(f"--gpus is {gpus}: name their kind too, e.g. --gpu h200")
    return ClusterFile(**values)


def planned(
    root: Path,
    stages: Sequence[str],
    described: ClusterFile,
    profile: str | None = None,
    overrides: Sequence[str] = (),
) -> Estimate:
    """Plan the project at ``root`` and reckon it; touches nothing."""
    notes: list[str] = []
    plain = profile is None and not overrides
    text = None if plain else compose(root, profile, overrides, notes)
    seen = check.seen_there(check.read(root, text), root, described, planning=True)
    first = check.first(seen, stages)
    if text is None:
        return _warned(_reckon(root, stages, described, seen), first)
    with project_with(root, text) as folder:
        found = _reckon(folder, stages, described, seen, root)
        return replace(_warned(found, first), notes=tuple(notes))


def _warned(found: Estimate, first: Sequence[Finding]) -> Estimate:
    """With the warnings of the check before DVC was read, each line once."""
    said = {one.line: one for one in (*first, *found.warnings)}
    return replace(found, warnings=tuple(said.values()))


def render(found: Estimate, as_json: bool) -> str:
    """What is printed: a table for people, or JSON."""
    return json.dumps(found.as_json(), indent=1) if as_json else table(found)


def _reckon(
    root: Path,
    stages: Sequence[str],
    described: ClusterFile,
    seen: Seen,
    view_of: Path | None = None,
) -> Estimate:
    from pipeline.graph import read_graph
    from pipeline.plan import plan

    graph = read_graph(root)
    if view_of is not None:
        share_hashes(graph.repo, view_of)
    decisions = plan(graph, graph.select(stages), finished.outdated(root))
    warnings = check.decided(seen, decisions)
    found = estimate(seen.params, decisions, described)
    found = scheduled(found, seen.params, graph.upstream)
    return replace(found, warnings=tuple(warnings), data=data_of(seen.params, seen.root))
