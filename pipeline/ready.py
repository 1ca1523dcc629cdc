"""A run before it starts: its checkout repaired, its params checked, every stage decided."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.checkout import Checkout, checkout, link_inputs
from pipeline.graph import Graph, read_graph
from pipeline.heal import heal
from pipeline.plan import Decision, plan, refuse_absent
from pipeline.use import PARAMS, refuse_old
from stages.params import load


@dataclass(frozen=True)
class Ready:
    """What a run is going to do, and where."""

    here: Checkout
    graph: Graph
    names: list[str]
    """The targets and all they need, in order."""
    forced: set[str]
    decisions: dict[str, Decision]


def make_ready(
    main: Path,
    targets: Sequence[str],
    profile: str | None,
    overrides: Sequence[str],
    force: bool,
) -> Ready:
    """Find every mistake that can be found before a stage runs; each is a ``UserError``."""
    here = checkout(main, profile, overrides)
    for line in heal(here.root):
        print(line, flush=True)
    load(here.root / PARAMS)
    refuse_old(here.root)
    graph = read_graph(here.root)
    link_inputs(graph, main, here)
    graph.refuse_missing(here.root)
    names = graph.select(targets)
    forced = graph.named(targets) if force else set()
    decisions = plan(graph, names, forced)
    refuse_absent(decisions)
    if any(decision.action != "fresh" for decision in decisions.values()):
        graph.refuse_read_only_cache()
    return Ready(here, graph, names, forced, decisions)
