"""What a run shows on Prefect's page besides states and logs: plan, progress, results, report.

The page is for looking: when it cannot be written to, the run goes on.
"""

import contextlib
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from uuid import UUID

from prefect import get_run_logger
from prefect.artifacts import (
    create_link_artifact,
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)

from pipeline.plan import Decision
from stages.common.progress import parse

LINE = 50_000
"""Longest log entry, characters; Prefect drops the rest of an entry beyond its own limit."""
_EVERY_S = 5.0


@contextlib.contextmanager
def _unhurt() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        get_run_logger().warning("not shown on the page: %s", error)


def show_plan(decisions: Mapping[str, Decision]) -> None:
    """A table of what is going to happen, and why."""
    rows = [
        {"stage": name, "action": decision.action, "reason": decision.reason}
        for name, decision in decisions.items()
    ]
    with _unhurt():
        create_table_artifact(key="plan", table=rows, description="What each stage does, and why")


def show_results(root: Path) -> None:
    """The answer and every score and loss as text, and where the report is."""
    report = root / "report" / "index.html"
    if not report.is_file():
        return
    text = "\n\n".join(_summary(root, *options) for options in ((), ("--all",)))
    with _unhurt():
        create_markdown_artifact(
            key="results",
            markdown=f"```\n{text}\n```\n\nReport: `{report}`",
            description="Scores and losses of this run",
        )
        create_link_artifact(key="report", link=report.as_uri(), link_text=str(report))


def _summary(root: Path, *options: str) -> str:
    command = [sys.executable, "-m", "stages.report.summary", *options]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    return done.stdout.strip()


class StagePage:
    """The log and the progress of one stage's task."""

    def __init__(self, stage: str) -> None:
        self._stage = stage
        self._key = f"progress-{re.sub(r'[^a-z0-9]+', '-', stage.lower())}"
        self._logger = get_run_logger()
        self._artifact: UUID | None = None
        self._shown = 0.0

    def line(self, text: str) -> None:
        """Log a line whole, in pieces where it is very long; a line of progress moves the bar."""
        for start in range(0, len(text), LINE):
            self._logger.info("%s", text[start : start + LINE])
        tick = parse(text)
        if tick is None or not tick.total or time.monotonic() - self._shown < _EVERY_S:
            return
        self._shown = time.monotonic()
        note = f"{self._stage}: {tick.done:,} {tick.unit} of {tick.total:,}"
        note += f", {tick.left} left" if tick.left else ""
        self._progress(100 * tick.done / tick.total, note)

    def done(self) -> None:
        """Fill the bar, where there is one."""
        if self._artifact is not None:
            self._progress(100.0, f"{self._stage}: done")

    def _progress(self, percent: float, note: str) -> None:
        with _unhurt():
            if self._artifact is None:
                self._artifact = create_progress_artifact(percent, key=self._key, description=note)
            else:
                update_progress_artifact(self._artifact, progress=percent, description=note)
