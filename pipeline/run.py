"""``repo-pipeline run``: the flow from a terminal, and nothing at all when nothing is to be done."""

import logging
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from pipeline.checkout import Checkout, checkout, link_inputs, saved
from pipeline.ended import Stopped
from pipeline.graph import read_graph
from pipeline.heal import heal
from pipeline.plan import plan, refuse_absent
from pipeline.process import stop_all
from pipeline.services import own_server
from stages.params import load


def run(
    main: Path,
    targets: Sequence[str],
    profile: str | None,
    overrides: Sequence[str],
    force: bool,
) -> None:
    """Bring ``targets`` (none: everything) up to date and show the results.

    Neither Prefect nor Ray is started when every stage is up to date.
    """
    started = time.monotonic()
    here = checkout(main, profile, overrides)
    for line in heal(here.root):
        print(line, flush=True)
    load(here.root / "params.yaml")
    graph = read_graph(here.root)
    link_inputs(graph, main, here)
    graph.refuse_missing(here.root)
    names = graph.select(targets)
    decisions = plan(graph, names, graph.named(targets) if force else set())
    refuse_absent(decisions)
    done = all(decision.action == "fresh" for decision in decisions.values())
    if done and (here.experiment is None or saved(main, here.experiment)):
        print(f"nothing to do: {len(names)} stages are up to date")
    else:
        graph.refuse_read_only_cache()
        _flow(targets, profile, overrides, force)
        print(f"done in {time.monotonic() - started:.0f} s")
    _show(here, "report" in names)


def _flow(
    targets: Sequence[str], profile: str | None, overrides: Sequence[str], force: bool
) -> None:
    def stop(number: int, frame: FrameType | None) -> None:
        stop_all()
        raise Stopped

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    with own_server(lambda line: print(line, flush=True)):
        # Prefect reads its settings when it is imported.
        from prefect.logging.handlers import APILogWorker

        from pipeline.flow import repo_pipeline

        logging.raiseExceptions = False  # a log line that the page did not get is no error of a run
        try:
            repo_pipeline(profile, list(overrides), list(targets), force)
        finally:
            APILogWorker.drain_all(timeout=5.0)  # before the server goes


def _show(here: Checkout, results: bool) -> None:
    if results and (here.root / "report" / "metrics.json").is_file():
        subprocess.run([sys.executable, "-m", "stages.report.summary"], cwd=here.root, check=False)
        print(f"report: {here.root / 'report' / 'index.html'}")
    if here.experiment:
        print(
            f"experiment {here.experiment}: `dvc exp show` compares, "
            f"`dvc exp apply {here.experiment}` brings it here"
        )
