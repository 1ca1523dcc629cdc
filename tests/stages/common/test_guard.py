"""A stage ends with the process that started it."""

import os
import subprocess
import sys
import time
from pathlib import Path

from stages.common import guard

SLEEPER = """
import signal, sys, time
from stages.common import guard
signal.signal(signal.SIGTERM, lambda *_: sys.exit(75))
guard.watch()
print("ready", flush=True)
time.sleep(300)
"""


def test_a_process_is_told_from_another_with_its_pid() -> None:
    assert guard.alive(guard.mark())
    assert not guard.alive(f"{os.getpid()}:1.00")
    assert not guard.alive("nonsense")


def test_an_orphan_stops() -> None:
    conductor = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"])
    marked = f"{conductor.pid}:{guard._started(conductor.pid)}"
    child = subprocess.Popen(
        [sys.executable, "-c", SLEEPER],
        env={**os.environ, guard.VARIABLE: marked, "PYTHONPATH": str(Path.cwd())},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    time.sleep(1.5)
    assert child.poll() is None
    conductor.kill()
    conductor.wait()
    assert child.wait(timeout=20) == 75


SAVES = SLEEPER.replace("sys.exit(75)", "print('asked', flush=True)")


def test_an_orphan_whose_ray_is_gone_has_no_grace() -> None:
    """It could not save, and would hold its lock for the next run to wait for."""
    conductor = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"])
    marked = f"{conductor.pid}:{guard._started(conductor.pid)}"
    gone, lives = (
        subprocess.Popen(
            [sys.executable, "-c", SAVES],
            env={
                **os.environ,
                guard.VARIABLE: marked,
                guard.RAY: own,
                "PYTHONPATH": str(Path.cwd()),
            },
            stdout=subprocess.PIPE,
            text=True,
        )
        for own in ("1", "")
    )
    for child in (gone, lives):
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
    conductor.kill()
    conductor.wait()
    assert gone.wait(timeout=60) == 75
    assert lives.poll() is None
    lives.kill()
    lives.wait()
