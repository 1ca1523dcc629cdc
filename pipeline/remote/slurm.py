"""Slurm as a target: ``sbatch``, ``squeue`` and ``scancel``, and a folder that all nodes share.

The commands are the interface that every site has; its REST daemon and accounting few have. So how a
job ended is a file of the job's own (``infra/slurm/repo-pipeline.sbatch``), and the log is a file too.
"""

import io
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from pipeline.remote.target import SILENCE_S, JobInfo, Unreachable
from stages.common.errors import TRY_AGAIN, UserError
from stages.common.files import read_json, write_json

SCHEME = "slurm:"
SCRIPT = Path("infra/slurm/repo-pipeline.sbatch")
TIMEOUT_S = 60.0
_LOOK_S = 0.5
_ASK_S = 5.0
"""How often the controller is asked about a job that is followed; its files are looked at meanwhile."""
_MINUTE_S = 60.0
"""Slurm may send the signal before the limit so much earlier or later (sbatch(1), --signal)."""
_OURS = re.compile(r"--?(o|e|J|D|output|error|job-name|chdir|wrap|array|parsable|signal|export)\b")
"""Options of sbatch that are given here already, or that one run cannot have."""


def folder_of(address: str, runs: str | None) -> Path:
    """The shared folder: of the address, the cluster file's ``runs``, ``REPO_RUNS``, or in the home."""
    named = address.removeprefix(SCHEME) or runs or os.environ.get("REPO_RUNS")
    return Path(named).absolute() if named else Path.home() / ".repo-runs"


class Slurm:
    """The jobs that were sent with ``folder`` as the folder that all nodes share."""

    def __init__(self, folder: Path, options: Sequence[str] = ()) -> None:
        """``options``: words for sbatch, such as ``--partition=gpu``."""
        for word in options:
            if not word.startswith("-") or _OURS.match(word):
                raise UserError(
                    f"slurm option {word!r}: give options of sbatch as --name=value (partition, "
                    "nodes, gpus-per-node, time, account); the run's name, output and signal are set"
                )
        self.folder, self.options = folder, tuple(options)
        self.jobs = folder / "slurm" / "jobs"

    @property
    def address(self) -> str:
        """``slurm:`` and the shared folder."""
        return f"{SCHEME}{self.folder}"

    def check(self) -> None:
        """Raise a ``UserError`` unless Slurm answers here and the folder can be written."""
        missing = [name for name in ("sbatch", "squeue", "scancel") if not shutil.which(name)]
        if missing:
            raise UserError(
                f"slurm: no `{missing[0]}` here; run repo-pipeline on the cluster's login node"
            )
        self._states()
        try:
            self.jobs.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.jobs):
                pass
        except OSError as error:
            raise UserError(f"{self.folder}: {error.strerror}; name a folder as `runs`") from None

    def find(self, job: str) -> JobInfo | None:
        """A job by its name; none where this folder has none such."""
        if not (self.jobs / job / "job.json").is_file():
            return None
        return self._info(self.jobs / job, self._states())

    def list(self) -> list[JobInfo]:
        """Jobs of this folder, the oldest first."""
        states = self._states()
        files = sorted(self.jobs.glob("*/job.json"), key=lambda file: file.stat().st_mtime)
        return [self._info(file.parent, states) for file in files]

    def upload(self, name: str, content: bytes) -> str:
        """Unpack the zip beside the jobs unless it is there; returns its folder."""
        package = self.folder / "slurm" / "packages" / Path(name).stem
        if not package.is_dir():
            package.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=package.parent) as temporary:
                made = Path(temporary) / "made"
                with zipfile.ZipFile(io.BytesIO(content)) as zipped:
                    zipped.extractall(made)
                made.rename(package)
        return str(package)

    def submit(
        self, job: str, entrypoint: str, package: str, metadata: dict[str, str], grace_s: float
    ) -> None:
        """Queue the job; before its time limit it is told to stop, saves, and is queued again."""
        record = self.jobs / job
        record.mkdir(parents=True)
        done = self._ask(
            "sbatch", "--parsable", f"--job-name={job}", f"--output={record / 'log'}",
            f"--chdir={package}", f"--signal=B:USR1@{grace_s + _MINUTE_S:.0f}", *self.options,
            str(Path(package) / SCRIPT), *shlex.split(entrypoint), record=record,
        )  # fmt: skip
        if done.returncode:
            shutil.rmtree(record)
            raise UserError(f"slurm: {_last_line(done.stderr)}")
        number = done.stdout.strip().partition(";")[0]
        write_json(record / "job.json", {"slurm": number, "metadata": metadata})

    def stop(self, job: str) -> None:
        """Ask the job's script to stop: it saves and ends; a job that waits leaves the queue."""
        record = self.jobs / job
        number = str(read_json(record / "job.json")["slurm"])
        (record / "cancelled").touch()
        waiting = self._states().get(number, ("", ""))[0] in _WAITS
        how = () if waiting else ("--batch", "--signal=TERM")
        done = self._ask("scancel", *how, number)
        if done.returncode and self._states().get(number, ("", ""))[0] in (*_WAITS, *_RUNS):
            raise Unreachable(f"slurm: {_last_line(done.stderr)}")

    def logs(self, job: str) -> str:
        """Everything the job has printed, at all its starts."""
        try:
            return (self.jobs / job / "log").read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return ""

    def tail(self, job: str) -> Iterator[str]:
        """Pieces of the log as they come."""
        place, heard = 0, time.monotonic()
        asked = 0.0
        while time.monotonic() - heard < SILENCE_S:
            over = (self.jobs / job / "code").is_file()
            if not over and time.monotonic() - asked > _ASK_S:
                info, asked = self.find(job), time.monotonic()
                over = info is None or info.ended
            text = self.logs(job)
            if len(text) > place:
                yield text[place:]
                place, heard = len(text), time.monotonic()
            if over:
                return
            time.sleep(_LOOK_S)

    def _info(self, record: Path, states: dict[str, tuple[str, str]]) -> JobInfo:
        known = read_json(record / "job.json")
        state, why = states.get(str(known["slurm"]), ("", ""))
        code, ended = _code(record / "code"), None
        message = "" if why in ("", "None") else f"Slurm: {state.lower()}, {why}"
        cancelled = (record / "cancelled").is_file()
        # A node that went, or a job that must make room: it saved, and Slurm queues it again.
        goes_on = state in _WAITS or (state == "COMPLETING" and code == TRY_AGAIN and not cancelled)
        if code is not None and not goes_on:
            status = "SUCCEEDED" if code == 0 else "STOPPED" if cancelled else "FAILED"
            ended = _ms(record / "code")
        elif state in _WAITS:
            status = "PENDING"
        elif state in _RUNS:
            status = "RUNNING"
        else:  # it could not say how it ended: killed, or a node that went and no requeue
            status = "STOPPED" if cancelled else "FAILED"
            message = message or "Slurm ended it before it could save; submit again"
        began = _ms(record / "started")
        return JobInfo(record.name, status, message, known["metadata"], code, began, ended)

    def _states(self) -> dict[str, tuple[str, str]]:
        """Slurm's number of a job -> its state and the reason, as far as the controller remembers."""
        done = self._ask("squeue", "--noheader", "--me", "--states=all", "--format=%A|%T|%r")
        if done.returncode:
            raise Unreachable(f"slurm: {_last_line(done.stderr)}")
        rows = (line.split("|", 2) for line in done.stdout.splitlines() if line.count("|") >= 2)
        return {number: (state, why) for number, state, why in rows}

    def _ask(self, *words: str, record: Path | None = None) -> subprocess.CompletedProcess[str]:
        binaries = str(Path(sys.executable).parent)
        # sbatch hands its environment to the job: this Python first, and where to say how it ended.
        environment = {**os.environ, "PATH": f"{binaries}{os.pathsep}{os.environ.get('PATH', '')}"}
        if record is not None:
            environment |= {"RP_RECORD": str(record), "REPO_RUNS": str(self.folder)}
        try:
            return subprocess.run(
                words, env=environment, capture_output=True, text=True, check=False,
                stdin=subprocess.DEVNULL, timeout=TIMEOUT_S,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise Unreachable(f"slurm: {words[0]} did not answer in {TIMEOUT_S:.0f} s") from None


_WAITS = ("PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "SPECIAL_EXIT")
_RUNS = ("RUNNING", "COMPLETING", "SUSPENDED", "STOPPED", "SIGNALING", "STAGE_OUT", "RESIZING")


def _code(file: Path) -> int | None:
    try:
        return int(file.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None


def _ms(file: Path) -> int | None:
    return int(file.stat().st_mtime * 1000) if file.is_file() else None


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:300] if lines else "no message"
