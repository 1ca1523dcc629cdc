"""``repo-pipeline run``: the flow from a terminal, and nothing at all when nothing is to be done."""

import logging
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from pipeline.checkout import Checkout, brought, saved
from pipeline.ended import Stopped
from pipeline.process import saving, stop_all
from pipeline.ready import make_ready
from pipeline.services import own_server
from stages.common import paths
from stages.common.wish import Heard, Wish


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
    ready = make_ready(main, targets, profile, overrides, force)
    here = ready.here
    done = all(decision.action == "fresh" for decision in ready.decisions.values())
    if done and (here.experiment is None or saved(main, here.experiment)):
        print(f"nothing to do: {len(ready.names)} stages are up to date")
    else:
        _flow(targets, profile, overrides, force)
        print(f"done in {time.monotonic() - started:.0f} s")
    _show(here, "report" in ready.names)
    if here.experiment:
        how = brought(here, ready.graph.stages)
        print(f"experiment {here.experiment}: `dvc exp show` compares, {how}")


def _flow(
    targets: Sequence[str], profile: str | None, overrides: Sequence[str], force: bool
) -> None:
    wish = Wish()

    def stop(number: int, frame: FrameType | None) -> None:
        heard = wish.hear()
        stop_all()
        if heard is Heard.FIRST or (heard is Heard.AGAIN and not saving()):
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
    if results and (here.root / paths.FIGURES).is_file():
        subprocess.run([sys.executable, "-m", "stages.report.summary"], cwd=here.root, check=False)
        print(f"report: {here.root / 'report' / 'index.html'}")
