"""A stage as a process: its output line by line, its full log in a file, its end as a status."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TextIO

import psutil
from filelock import FileLock, Timeout

from pipeline import finished, outside
from pipeline.dvc_child import DvcChild
from pipeline.estimate import measured
from pipeline.heal import KEPT, keep_lock
from stages.common import grace, status
from stages.common.errors import DONE, FAILED, TRY_AGAIN, TryAgain
from stages.common.guard import VARIABLE as GUARD
from stages.common.guard import mark

CHATTER = re.compile(
    r"(Updating|Generating) lock file|To track the changes|\s+git add |To enable auto staging"
    r"|\s+dvc config |Use `dvc push`|Running stage |> python -m "
    r"|Stage '.*' didn't change, skipping|Data and pipelines are up to date"
)
"""DVC's housekeeping lines: in the log, not on the terminal."""
BUSY = "is busy, it is being blocked by"
"""DVC, where the process of a killed run is still about."""
BUSY_WAIT_S, BUSY_TRIES = 2.0, 30
STOP_SECONDS = 5.0
"""What is left of a stage once its own process has ended has this long before it is killed."""
_live: set[DvcChild] = set()
_stoppers: dict[int, threading.Thread] = {}
"""Threads that are stopping a child and what it started, by its pid."""
_stopping = threading.Event()

Environment = Mapping[str, str]
Show = Callable[[str], None]


def run_stage(
    root: Path, name: str, environment: Environment, log: Path, show: Show, force: bool = False
) -> status.Status:
    """Run one stage of the checkout at ``root`` through DVC; pass on its lines, return its end.

    Another run of this stage in the same checkout is waited for: DVC would call it busy and fail.
    """
    with _turn(root, name, show) as came:
        if not came:
            return _stopped()
        if not force and finished.restore(root, name):
            show(finished.BROUGHT_BACK)
        # Looked at when the turn has come: the plan may be hours old.
        force = force or name in finished.outdated(root, (name,))
        given, whole, started = outside.hashes(root, name), not measured.begun(name), time.time()
        for _ in range(BUSY_TRIES):
            ended = _attempt(root, name, environment, log, show, force)
            if BUSY not in ended.line or _stopping.wait(BUSY_WAIT_S):
                break
        if ended.code == DONE:
            if why := finished.not_kept(root, name):
                return status.Status(FAILED, why)
            if whole:
                measured.keep(root, name, time.time() - started)
            keep_lock(root)
            if finished.keep(root, name, given):
                finished.clear(name, started)
        return ended


def _attempt(
    root: Path, name: str, environment: Environment, log: Path, show: Show, force: bool
) -> status.Status:
    # The option stands before `repro`; without it a stage that ends while another process holds
    # DVC's lock fails after its work.
    command = ["--wait-for-lock", "repro", "--single-item", *(["--force"] if force else []), name]
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "status.json"
        # In a session of its own: a signal to our group is for us, who tell the stage first.
        variables = {**environment, status.VARIABLE: str(report), GUARD: mark()}
        try:
            child = DvcChild(command, root, variables)
        except TryAgain as error:
            return status.Status(TRY_AGAIN, str(error))
        _live.add(child)
        if _stopping.is_set():
            _stop_beside(child)
        last, failure = "", ""
        try:
            with contextlib.closing(_Log(log)) as file:
                for line in child.stdout:
                    file.write(line)
                    if line.strip():
                        last = line.rstrip()
                        failure = last.removeprefix("ERROR: ") if "ERROR: " in last else failure
                        show(last)
            code = child.wait()
        finally:
            stop(child)
            _live.discard(child)
            if stopper := _stoppers.pop(child.pid, None):
                stopper.join()  # the child may be gone, what it started may not
        # Whoever ended the child may be about to tell us; a group is signalled all at once.
        if _stopping.wait(1.0 if code < 0 else 0.0):
            return _stopped()  # first: what was told to stop has not failed
        if code == 0:
            return status.Status(DONE, "done")
        said = status.read(report)
        if code < 0 and (said is None or said.code == DONE):
            return status.Status(TRY_AGAIN, f"ended by signal {-code}")
        if said is None or said.code == DONE:  # the stage did its part, DVC did not do its own
            return status.Status(FAILED, failure or last or f"exit code {code}")
        return said


def stop(child: DvcChild | subprocess.Popen[str]) -> None:
    """Stop a process and everything it started: asked first, killed after ``STOP_SECONDS``.

    A stage comes first and may save (``stages.common.grace``): DVC and Ray, around it, must live on.
    """
    try:
        root = child.process if isinstance(child, DvcChild) else psutil.Process(child.pid)
        if root is None:
            return
        family = [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return
    stages = [process for process in family if grace.is_stage(process)]
    for process in stages:
        _signal(process, signal.SIGTERM)
    psutil.wait_procs(stages, timeout=grace.seconds(grace.FLOW))
    for process in family:
        _signal(process, signal.SIGTERM)
    _, alive = psutil.wait_procs(family, timeout=STOP_SECONDS)
    for process in alive:
        _signal(process, signal.SIGKILL)


def stop_all() -> None:
    """Stop every stage that this process runs, now and from here on; does not wait."""
    if _stopping.is_set():
        return
    _stopping.set()
    for child in list(_live):
        _stop_beside(child)


def _stop_beside(child: DvcChild) -> None:
    stopper = threading.Thread(target=stop, args=(child,), daemon=True)
    _stoppers[child.pid] = stopper
    stopper.start()


def saving() -> bool:
    """Whether something that was told to stop has not ended yet."""
    return any(stopper.is_alive() for stopper in list(_stoppers.values()))


def hurry() -> None:
    """Tell every stage that is saving to give up: a second Ctrl-C."""
    for child in list(_live):
        with contextlib.suppress(psutil.NoSuchProcess):
            for process in child.process.children(recursive=True) if child.process else ():
                if grace.is_stage(process):
                    _signal(process, signal.SIGINT)


def settled() -> None:
    """Wait until what was told to stop has ended."""
    for stopper in list(_stoppers.values()):
        stopper.join()


def stopping() -> bool:
    """Whether this process was told to stop its stages."""
    return _stopping.is_set()


def dvc_said(done: "subprocess.CompletedProcess[str]") -> str:
    """Why a command of DVC failed, in a line: its first error, else its last word."""
    lines = (done.stderr or done.stdout).strip().splitlines() or ["no message"]
    line = next((line for line in lines if line.startswith("ERROR: ")), lines[-1])
    return line.removeprefix("ERROR: ")


def child_environment() -> dict[str, str]:
    """This process's environment with its own ``bin`` first on PATH: no activation is needed."""
    binaries = str(Path(sys.executable).parent)
    path = os.environ.get("PATH", "")
    return {
        **os.environ,
        "PATH": path if path.startswith(binaries + os.pathsep) else f"{binaries}{os.pathsep}{path}",
        "PYTHONUNBUFFERED": "1",
        "DVC_NO_ANALYTICS": "1",
    }


class _Log:
    """A log file that gives up on a full disk: the stage matters more than its log."""

    def __init__(self, path: Path) -> None:
        self._file: TextIO | None = None
        with contextlib.suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("a", encoding="utf-8")

    def write(self, text: str) -> None:
        try:
            if self._file:
                self._file.write(text)
                self._file.flush()
        except OSError:
            self.close()

    def close(self) -> None:
        file, self._file = self._file, None
        if file:
            with contextlib.suppress(OSError):
                file.close()


@contextlib.contextmanager
def _turn(root: Path, name: str, show: Show) -> Iterator[bool]:
    """Wait until no other run is at this stage here; false when told to stop meanwhile."""
    folder = root / KEPT
    folder.mkdir(parents=True, exist_ok=True)
    lock, said = FileLock(folder / f"{name}.lock"), False
    while not _stopping.is_set():
        try:
            lock.acquire(timeout=0)
        except Timeout:
            if not said:
                show("waits for another run that is at this stage")
                said = True
            time.sleep(0.5)
            continue
        try:
            yield True
        finally:
            lock.release()
        return
    yield False


def _stopped() -> status.Status:
    return status.Status(TRY_AGAIN, "stopped; run again to go on from here")


def _signal(process: psutil.Process, number: signal.Signals) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        process.send_signal(number)
