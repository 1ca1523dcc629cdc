"""Following a job's log: lines and events as they come, through lost connections, to its end."""

import time
from collections.abc import Callable, Iterator

from pipeline.remote.events import PREFIX, Event, parse
from pipeline.remote.target import JobInfo, Target, Unreachable
from stages.common.errors import TryAgain, UserError

RETRY_S = (1.0, 2.0, 5.0, 10.0)
"""Waits between attempts to reach the cluster again; the last for ever."""


def lines(jobs: Target, job: str, lost: Callable[[str], None]) -> Iterator[str]:
    """Lines of the log from its beginning until the job has ended.

    A connection that is lost is made anew; the server sends the log from its start each time, and
    what was seen is passed over. ``lost`` is told once for each loss.
    """
    seen, part, failures, known = 0, "", 0, False
    while True:
        ended = False
        try:
            info = _require(jobs, job, known)
            known = True
            ended = info.ended
            if info.status != "PENDING":
                skip = seen
                pieces = iter([jobs.logs(job)]) if ended else jobs.tail(job)
                for piece in pieces:
                    failures = 0
                    if skip >= len(piece):
                        skip -= len(piece)
                        continue
                    piece, skip = piece[skip:], 0
                    seen += len(piece)
                    *whole, part = (part + piece).split("\n")
                    yield from whole
        except Unreachable as error:
            if failures == 0:
                lost(f"{error}; trying again, the job goes on (Ctrl-C detaches)")
            time.sleep(RETRY_S[min(failures, len(RETRY_S) - 1)])
            failures += 1
            continue
        if ended:
            if part:
                yield part
            return
        time.sleep(0.5)


def events(found: Iterator[str], show: Callable[[str], None]) -> Iterator[Event]:
    """The events among a log's lines; every other line goes to ``show``."""
    for line in found:
        happened = parse(line) if line.startswith(PREFIX) else None
        if happened is not None:
            yield happened
        else:
            show(line)


def ended(jobs: Target, job: str, wait_s: float = 30.0) -> JobInfo:
    """The job once Ray calls it ended; its log may end a moment before."""
    deadline = time.monotonic() + wait_s
    while True:
        try:
            info = _require(jobs, job, known=True)
            if info.ended or time.monotonic() > deadline:
                return info
        except Unreachable:
            if time.monotonic() > deadline:
                raise
        time.sleep(0.5)


def _require(jobs: Target, job: str, known: bool) -> JobInfo:
    """The job; ``known``: it was there a moment ago, so its head was started anew and forgot it."""
    info = jobs.find(job)
    if info is not None:
        return info
    if known:
        raise TryAgain(
            f"{jobs.address} was started anew and does not know job {job!r} any more; "
            "submit again to go on from its last checkpoint"
        )
    raise UserError(f"job {job!r}: {jobs.address} does not know it; its Ray may be a new one")
