"""A run before it starts: its checkout repaired, its params checked, every stage decided."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline import cache_links, check, finished
from pipeline.checkout import Checkout, checkout, link_inputs
from pipeline.estimate.beyond import refuse_beyond
from pipeline.estimate.estimate import heavy
from pipeline.graph import Graph, read_graph
from pipeline.heal import heal
from pipeline.overrides import compose
from pipeline.plan import FORCED, Decision, plan, refuse_absent
from pipeline.use import refuse_old
from stages.given import named


@dataclass(frozen=True)
class Ready:
    """What a run is going to do, and where."""

    here: Checkout
    graph: Graph
    names: list[str]
    """The targets and all they need, in order."""
    forced: dict[str, str]
    """Stages that run though DVC sees no change, and why."""
    decisions: dict[str, Decision]
    heavy: frozenset[str] = frozenset()
    """Stages that take the devices."""


def make_ready(
    main: Path,
    targets: Sequence[str],
    profile: str | None,
    overrides: Sequence[str],
    force: bool,
) -> Ready:
    """Find every mistake that can be found before a stage runs; each is a ``UserError``."""
    refuse_early(main, targets, profile, overrides)
    cache_links.settle(main)  # a worktree takes over what main is told
    here = checkout(main, profile, overrides)
    for line in heal(here.root):
        print(line, flush=True)
    refuse_old(here.root)
    seen = check.seen_here(check.read(here.root), main)
    graph = read_graph(here.root)
    link_inputs([*graph.inputs(), *named(seen.params)], main, here)
    graph.refuse_missing(here.root)
    names = graph.select(targets)
    forced = finished.outdated(here.root)
    forced |= dict.fromkeys(graph.named(targets) if force else (), FORCED)
    decisions = plan(graph, names, forced)
    refuse_absent(decisions)
    check.say(check.decided(seen, decisions))
    refuse_beyond(seen, decisions)
    if any(decision.action != "fresh" for decision in decisions.values()):
        graph.refuse_read_only_cache()
    return Ready(here, graph, names, forced, decisions, heavy(names, seen.params))


def refuse_early(
    main: Path, targets: Sequence[str], profile: str | None, overrides: Sequence[str]
) -> None:
    """Raise ``UserError`` for what params, files and the machine show, before anything is written."""
    notes: list[str] = []
    plain = profile is None and not overrides
    text = None if plain else compose(main, profile, overrides, notes)
    warnings = check.first(check.seen_here(check.read(main, text), main), targets)
    check.tell(notes)
    check.say(warnings)
