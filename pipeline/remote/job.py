"""The job on the cluster: checks, checkout, pull, the same flow as on a laptop, push, run folder.

Ray starts it on the head in the unpacked package (``start.sh``, ``entry.py``). It tells what happens
as events (``pipeline.remote.events``) and ends with the pipeline's own exit codes.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from platform import python_version
from types import FrameType
from typing import Any, NoReturn

import psutil

from pipeline.events import VARIABLE, State, emit
from pipeline.place import private
from pipeline.remote import own
from pipeline.remote.checkout import checkout, runs_folder
from pipeline.remote.events import PREFIX, Tail, event
from pipeline.remote.package import WISH
from pipeline.remote.pushing import Pushing
from pipeline.remote.remotes import one_line
from pipeline.remote.run_folder import RunFolder, small_files
from stages.common import grace
from stages.common.errors import DONE, FAILED, TRY_AGAIN, USER_MISTAKE, TryAgain, UserError
from stages.common.files import read_json

EVENTS = "events.jsonl"
_ENDS: dict[int, State] = {DONE: "completed", TRY_AGAIN: "stopped"}
STOP_S = 2.0
"""What is left once the flow has ended has this long before it is killed."""


class Job:
    """One attempt at a run."""

    def __init__(self, wish: dict[str, Any], folder: Path, runs: Path) -> None:
        self.wish, self.folder, self.events = wish, folder, folder / EVENTS
        os.environ[VARIABLE] = str(self.events)  # ours and the flow's
        self.environment = self._environment(runs)

    def run(self) -> int:
        """Bring the targets up to date and hand over what came of it; returns the exit code."""
        started = datetime.now(UTC).isoformat(timespec="seconds")
        home = RunFolder(self.folder, self.wish["run"])
        home.check_writable()
        self.tell("running", f"checked out {self.wish['commit'][:12]} on {os.uname().nodename}")
        self._pull()
        with Pushing(self.folder, self.events, self.environment):
            code, line = self._flow()
        self._push()
        card = {
            **{key: self.wish[key] for key in ("run", "commit", "tree", "targets")},
            "code": code,
            "line": line,
            "started": started,
            "ended": datetime.now(UTC).isoformat(timespec="seconds"),
            "ray": version("ray"),
            "python": python_version(),
        }
        self.tell(_ENDS.get(code, "failed"), line)
        home.put(self.folder, [*small_files(self.folder), EVENTS], card)
        return code

    def tell(self, state: State, line: str) -> None:
        """An event of the whole run, and a line for people."""
        emit(None, state, line)
        print(f"[job] {line}", flush=True)

    def _environment(self, runs: Path) -> dict[str, str]:
        """Of the children: this Python first on PATH, the checkout's code, the shared folder."""
        binaries = str(Path(sys.executable).parent)
        # A local disk: Prefect keeps a SQLite file, which shared file systems lock badly.
        ours = private(Path(tempfile.gettempdir()) / f"repo-prefect-{os.getuid()}")
        prefect = private(ours / self.wish["run"])
        return {
            **os.environ,
            **self.wish["environment"],
            "REPO_RUNS": str(runs),
            "PATH": f"{binaries}{os.pathsep}{os.environ.get('PATH', '')}",
            "PYTHONPATH": str(self.folder),
            "PYTHONUNBUFFERED": "1",
            "DVC_NO_ANALYTICS": "1",
            "PREFECT_HOME": str(prefect),
        }

    def _pull(self) -> None:
        """Fetch what the user gave to DVC, and what dvc.lock records and a run would need."""
        from pipeline.graph import read_graph
        from pipeline.plan import LOST, plan

        graph = read_graph(self.folder)
        selected = graph.select(self.wish["targets"])
        if files := [str(file) for file in own.to_bring(self.folder, graph, selected)]:
            given = f"what {', '.join(files)} record"
            self._fetch(files, given, f"{given} is", "`dvc push` it from where it is")
            graph = read_graph(self.folder)  # the hashes of what came
        decisions = plan(graph, selected)
        absent = [name for name, found in decisions.items() if found.action in LOST]
        # Told absent only because of what stands before it: it has nothing to pull.
        wanted = [name for name in absent if any(out.hash_info for out in graph.stages[name].outs)]
        if wanted:
            fix = "`dvc push` them from where they are, or delete dvc.lock"
            self._fetch(wanted, f"{len(wanted)} stages", "outs that dvc.lock records are", fix)

    def _fetch(self, names: list[str], what: str, lacking: str, fix: str) -> None:
        """Pull from the remote what the shared cache lacks; a ``UserError`` where neither has it."""
        self.tell("running", f"pulling {what} from the remote")
        code, line = self._dvc("pull", *names)
        if code:
            raise UserError(f"{lacking} neither on the cluster nor in the remote ({line}); {fix}")

    def _flow(self) -> tuple[int, str]:
        """The flow as a process of its own, its lines passed on."""
        command = [sys.executable, "-m", "pipeline.cli", "run", *self.wish["targets"]]
        if self.wish["force"]:
            command.append("--force")
        code, line = self._passed_on(command)
        if code == DONE:
            return DONE, "completed"
        if code < 0 or code in (128 + signal.SIGTERM, 128 + signal.SIGKILL):
            return TRY_AGAIN, "the flow was killed; submit again to go on from here"
        known = code in (USER_MISTAKE, TRY_AGAIN)
        return (code if known else FAILED), line or f"the flow ended with code {code}"

    def _push(self) -> None:
        if (self.folder / "dvc.lock").is_file():
            self.tell("running", "pushing what was made to the remote")
            code, line = self._dvc("push", "--quiet")
            if code:
                raise TryAgain(f"dvc push: {line}; submit again, nothing is made twice")

    def _dvc(self, *arguments: str) -> tuple[int, str]:
        return self._passed_on([sys.executable, "-m", "dvc", *arguments])

    def _passed_on(self, command: list[str]) -> tuple[int, str]:
        """Run a command in the checkout; returns its code and its last line."""
        last = ""
        with subprocess.Popen(
            command,
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            bufsize=1,
        ) as child:
            assert child.stdout is not None
            try:
                for line in child.stdout:
                    if line.strip():
                        last = line.strip()
                        print(line, end="", flush=True)
            except BaseException:
                _stop_children()  # or leaving the block would wait for it
                raise
        return child.returncode, last.removeprefix("repo-pipeline: ").removeprefix("ERROR: ")


def main() -> NoReturn:
    """Run the package in the working folder."""
    signal.signal(signal.SIGTERM, _stop)
    # Children whose parent died stay ours, so that a stop finds them.
    _adopt_orphans()
    try:
        code = _attempt()
    except UserError as error:
        code = _end(USER_MISTAKE, "failed", str(error))
    except (TryAgain, KeyboardInterrupt) as error:
        code = _end(TRY_AGAIN, "stopped", str(error) or "stopped; submit again to go on from here")
    except Exception as error:
        code = _end(FAILED, "failed", one_line(error))
    finally:
        _stop_children()
    sys.exit(code)


def _attempt() -> int:
    wish = read_json(Path(WISH))
    os.environ.update(wish["environment"])
    runs = runs_folder(wish, _nodes)
    with checkout(Path.cwd(), runs, wish) as folder:
        job = Job(wish, folder, runs)
        tail = Tail(job.events, lambda line: print(f"{PREFIX}{line}", flush=True))
        try:
            return job.run()
        finally:
            tail.close()


def _nodes() -> int:
    """Nodes of this cluster that are alive."""
    from stages.common.ray_session import session

    with session():
        import ray

        return sum(node["Alive"] for node in ray.nodes())


def _end(code: int, state: State, line: str) -> int:
    """Say how it ended to whoever follows; the checkout may not be there."""
    print(f"{PREFIX}{json.dumps(vars(event(None, state, line)))}", flush=True)
    print(f"[job] {line}", flush=True)
    return code


def _stop(number: int, frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise TryAgain("cancelled; submit again to go on from here")


def _stop_children() -> None:
    """The flow first, which stops its stages and lets them save; then whatever is left."""
    me = psutil.Process()
    flow, family = me.children(), me.children(recursive=True)
    for process in flow:
        _signal(process, signal.SIGTERM)
    psutil.wait_procs(flow, timeout=grace.seconds(grace.JOB))
    # Ray asks everything at once: the flow may be gone before a stage that it started.
    psutil.wait_procs([p for p in family if grace.is_stage(p)], timeout=grace.seconds(grace.FLOW))
    family = [process for process in family if process.is_running()]
    for process in family:
        _signal(process, signal.SIGTERM)
    _, alive = psutil.wait_procs(family, timeout=STOP_S)
    for process in alive:
        _signal(process, signal.SIGKILL)


def _signal(process: psutil.Process, number: signal.Signals) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        process.send_signal(number)


def _adopt_orphans() -> None:
    """PR_SET_CHILD_SUBREAPER (prctl(2)); Linux only, elsewhere orphans go to init."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)
