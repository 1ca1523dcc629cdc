"""What a stage made goes to the remote while the next stage works, not at the end of the run alone.

A run of days whose cluster is taken away on the last one has then lost no finished stage. The push is
DVC's own, in a view of the checkout that has the same cache and a copy of its lock: DVC holds a lock
on a project for as long as a push takes, and the run must be able to commit its next stage meanwhile.
"""

import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from pipeline.remote.events import parse

LOCK_FILE, SETTINGS = "dvc.lock", (".dvc/config", ".dvc/config.local")
LOOK_S = 2.0
"""Between two looks at the events; a stage takes minutes."""


class Pushing:
    """Pushes each stage once it has ended well, one at a time, until the block ends.

    A push that fails is said once and is no error: the run's last push is tried again for all of it.
    """

    def __init__(self, root: Path, events: Path, environment: dict[str, str]) -> None:
        self.root, self.events, self.environment = root, events, environment
        self.pushed: set[str] = set()
        self._told = False
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work, name="pushing", daemon=True)
        self._child: subprocess.Popen[str] | None = None

    def __enter__(self) -> "Pushing":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        """Leave what is under way to the run's last push, which passes over what is there."""
        self._over.set()
        if child := self._child:
            child.terminate()
        self._thread.join()

    def _work(self) -> None:
        while not self._over.wait(LOOK_S):
            if wanted := self._ended() - self.pushed:
                self._push(wanted)
                self.pushed |= wanted

    def _ended(self) -> set[str]:
        """Stages that ended well and of which the lock tells."""
        if not self.events.is_file():
            return set()
        lines = self.events.read_text(encoding="utf-8", errors="replace").splitlines()
        events = [event for event in map(parse, lines) if event is not None]
        return {e.stage for e in events if e.stage is not None and e.state == "completed"}

    def _push(self, stages: set[str]) -> None:
        with tempfile.TemporaryDirectory(prefix="repo-push-") as name:
            view = Path(name)
            (view / ".dvc").mkdir()
            for file in ("dvc.yaml", LOCK_FILE, "params.yaml", *SETTINGS):
                if (self.root / file).is_file():
                    shutil.copyfile(self.root / file, view / file)
            self._child = subprocess.Popen(
                [sys.executable, "-m", "dvc", "push", "--quiet", *sorted(stages)],
                cwd=view,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
            )
            if self._over.is_set():
                self._child.terminate()
            said = self._child.communicate()[0].strip()
            code, self._child = self._child.returncode, None
        if code and not self._over.is_set() and not self._told:
            self._told = True
            line = said.splitlines()[-1].removeprefix("ERROR: ") if said else f"code {code}"
            print(f"[job] not pushed yet ({line}); tried again at the end", flush=True)
