"""A stage as a process: its output line by line, its full log in a file, its end as a status."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

import psutil

from stages.common import status
from stages.common.errors import FAILED, TRY_AGAIN

CHATTER = re.compile(
    r"(Updating|Generating) lock file|To track the changes|\s+git add |To enable auto staging"
    r"|\s+dvc config |Use `dvc push`|Running stage |> python -m "
)
"""DVC's housekeeping lines: in the log file, not in what is shown."""
STOP_SECONDS = 8.0
"""A stage that is told to stop has this long before it is killed."""
_live: set[subprocess.Popen[str]] = set()
_stopping = threading.Event()


def run_stage(
    name: str,
    environment: Mapping[str, str],
    log: Path,
    show: Callable[[str], None],
    force: bool = False,
) -> status.Status:
    """Run one stage through DVC, pass its lines to ``show`` and return how it ended.

    ``--wait-for-lock`` stands before ``repro``: without it a stage that ends while another process
    holds DVC's lock fails after its work.
    """
    command = [sys.executable, "-m", "dvc", "--wait-for-lock", "repro", "--single-item", name]
    if force:
        command.insert(-1, "--force")
    log.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "status.json"
        child = subprocess.Popen(
            command,
            env={**environment, status.VARIABLE: str(report)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            bufsize=1,
        )
        _live.add(child)
        last = ""
        try:
            assert child.stdout is not None
            with open(log, "a", encoding="utf-8") as file:
                for line in child.stdout:
                    file.write(line)
                    file.flush()
                    if line.strip() and not CHATTER.match(line):
                        last = line.rstrip()
                        show(last)
            code = child.wait()
        finally:
            stop(child)
            _live.discard(child)
        if _stopping.is_set():  # first: psutil may have taken the exit code, which then reads 0
            return status.Status(TRY_AGAIN, "stopped; run again to go on from here")
        if code == 0:
            return status.Status(0, "done")
        return status.read(report) or status.Status(FAILED, last or f"exit code {code}")


def stop(child: subprocess.Popen[str]) -> None:
    """Stop a process and everything it started: asked first, killed after ``STOP_SECONDS``."""
    try:
        root = psutil.Process(child.pid)
        family = [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return
    for process in family:
        _signal(process, signal.SIGTERM)
    _, alive = psutil.wait_procs(family, timeout=STOP_SECONDS)
    for process in alive:
        _signal(process, signal.SIGKILL)


def stop_all() -> None:
    """Stop every stage that this process runs."""
    _stopping.set()
    for child in list(_live):
        stop(child)


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


def _signal(process: psutil.Process, number: signal.Signals) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        process.send_signal(number)
