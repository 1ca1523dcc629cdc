"""The flow with a cluster named: one Ray job there, and its events here as one task per stage."""

import queue
import re
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.futures import wait
from prefect.states import Completed, State

from pipeline import page
from pipeline.ended import StageFailed
from pipeline.remote.commands import target
from pipeline.remote.events import Event
from pipeline.remote.fetch import fetch
from pipeline.remote.mirror import Mirror, mirror
from pipeline.stopping import cancelled
from stages.common.errors import DONE, FAILED, TRY_AGAIN, UserError

_SAID = re.compile(r"\[(?P<stage>[\w@-]+)\] (?P<text>.*)")
"""A line of a stage in the log of a run (``pipeline.console``)."""
Feed = queue.SimpleQueue[Event]


def submit(
    main: Path,
    cluster: str,
    targets: Sequence[str],
    profile: str | None,
    overrides: Sequence[str],
    force: bool,
) -> Mirror:
    """Send the run to ``cluster``, a cluster file or an address, or attach to the one that is there."""
    file = Path(cluster)
    described, address = target(*((None, file) if file.is_file() else (cluster, None)))
    found = mirror(main, address, list(targets), described, profile, list(overrides), force=force)
    how = "submitted as" if found.attached is None else "attached to"
    get_run_logger().info("%s job %s at %s", how, found.submission.job, address)
    return found


def let_go(found: Mirror, *runs: UUID) -> None:
    """End the job where one of the flow runs was cancelled; at any other end of ours it goes on."""
    if cancelled(*runs):
        found.cancel()


def follow(main: Path, found: Mirror, bring: bool) -> None:
    """Show the run's stages as tasks until it ends.

    ``bring``: fetch lock, metrics and report then; a run with other params than the checkout's leaves
    it as it is.
    """
    feeds, futures = _Feeds(), []
    logger = get_run_logger()
    try:
        for event in found.events(feeds.say, logger.warning):
            if event.stage is None:
                logger.info("%s", event.line)
            elif event.state not in ("planned", "progress"):  # the log has the lines of progress
                feeds.of(event.stage).put(event)
            for stage in feeds.fresh():
                futures.append(mirror_task.submit(stage, feeds.of(stage)))
        code = found.code()
    except BaseException:  # told to end: or the tasks' threads would wait for ever
        feeds.close(TRY_AGAIN, "no longer watched from here")
        raise
    feeds.close(code, found.last_line)
    wait(futures)
    if code != DONE:
        raise StageFailed(found.submission.run, code, found.last_line)
    if not bring:
        logger.info("done; `repo-pipeline fetch %s` brings it here", found.submission.run)
        return
    try:
        fetch(main, found.submission.run)
        page.show_results(main)
    except UserError as error:  # the run is done; what is here stays as it is
        logger.warning("not fetched: %s", error)


@task(name="stage", task_run_name="{name}", cache_policy=NO_CACHE)
def mirror_task(name: str, feed: Feed) -> State[Any]:
    """A stage that runs elsewhere."""
    shown = page.StagePage(name)
    while True:
        event = feed.get()
        if event.state in ("running", "progress"):
            shown.line(event.line)
        elif event.state == "skipped":
            return Completed(name="Skipped", message=event.line)
        elif event.state == "completed":
            shown.done()
            return Completed(message=event.line)
        else:
            raise StageFailed(name, TRY_AGAIN if event.state == "stopped" else FAILED, event.line)


class _Feeds:
    """What each stage's task is to show; a task starts with its stage's first word."""

    def __init__(self) -> None:
        self._feeds: dict[str, Feed] = {}
        self._fresh: list[str] = []
        self._lock = threading.Lock()

    def of(self, stage: str) -> Feed:
        with self._lock:
            if stage not in self._feeds:
                self._feeds[stage] = queue.SimpleQueue()
                self._fresh.append(stage)
            return self._feeds[stage]

    def say(self, line: str) -> None:
        """Give a line of the job's log to the stage that said it."""
        said = _SAID.fullmatch(line)
        if said is None or said["stage"] == "job":
            get_run_logger().info("%s", line)
        else:
            self.of(said["stage"]).put(Event("", said["stage"], "progress", said["text"]))

    def fresh(self) -> list[str]:
        """Stages that were not asked for before."""
        with self._lock:
            found, self._fresh = self._fresh, []
            return found

    def close(self, code: int, line: str) -> None:
        """End the tasks whose last event never came."""
        for stage, feed in self._feeds.items():
            feed.put(Event("", stage, "completed" if code == DONE else "stopped", line))
