"""Ray on a busy machine: tried again, nothing left of a failed try, and in the end one honest line."""

import json
import os
import signal
import subprocess
import sys
from typing import Any

import psutil
import pytest

from stages.common.errors import TRY_AGAIN
from stages.common.ray_start import is_late

pytestmark = pytest.mark.ray

# A real Ray that is given no time for its first process, as on a machine that is too busy.
CODE = """
import json, os, sys
import psutil
from stages.common import ray_session, ray_start
from stages.common.errors import TryAgain

WAIT, passing, told = "RAY_gcs_server_port_wait_time_s", sys.argv[1] == "passes", []
os.environ[WAIT] = "0"
ray_start.PAUSES = (0.1,)

def rays():
    found = psutil.Process().children(recursive=True)
    return [p.pid for p in found if any("/ray/" in word for word in p.cmdline())]

left = []
def say(line):
    told.append(line)
    left.extend(rays())
    if passing:
        os.environ.pop(WAIT, None)

ray_start.say = say
if not passing:
    ray_start.PATIENCE = 1.0
try:
    with ray_session.session() as address:
        import ray
        print(json.dumps({"told": told, "left": left, "cpus": ray.cluster_resources()["CPU"]}))
except TryAgain as error:
    print(json.dumps({"told": told, "left": left + rays(), "line": str(error), "code": error.code}))
"""


def start(how: str) -> dict[str, Any]:
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    done = subprocess.run(
        [sys.executable, "-c", CODE, how],
        env={**environment, "REPO_CPUS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout.splitlines()[-1]))


# A signal to its whole group, as GNU timeout and schedulers send; then an end without a word.
GROUP = """
import json, os, signal
import psutil
from stages.common import ray_session

with ray_session.session():
    import ray
    ray.get(ray.remote(lambda: os.getpid()).remote())
    family = [child.pid for child in psutil.Process().children(recursive=True)]
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
        os.killpg(0, number)
    still = ray.get(ray.remote(lambda: os.getpid()).remote())
    print(json.dumps({"family": family, "still": still}), flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_signal_to_our_group_leaves_ray_alone_and_our_death_does_not() -> None:
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    done = subprocess.run(
        [sys.executable, "-c", GROUP],
        env={**environment, "REPO_CPUS": "1"},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
        start_new_session=True,
    )
    assert done.returncode == -signal.SIGKILL
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["still"] and len(told["family"]) > 3
    _, left = psutil.wait_procs([psutil.Process(p) for p in _there(told["family"])], timeout=60)
    assert not left


def _there(pids: list[int]) -> list[int]:
    return [pid for pid in pids if psutil.pid_exists(pid)]


def test_a_start_that_was_late_is_tried_again_and_leaves_nothing() -> None:
    ended = start("passes")
    assert len(ended["told"]) >= 1 and "try 2 in" in ended["told"][0]
    assert " cores" in ended["told"][0]
    assert ended["left"] == []
    assert ended["cpus"] == 1


def test_one_that_never_starts_is_too_busy_and_leaves_nothing() -> None:
    ended = start("never")
    assert ended["line"].startswith("the machine is too busy: load ")
    assert ended["code"] == TRY_AGAIN
    assert ended["left"] == []


def test_an_error_that_has_nothing_to_do_with_time_is_no_lateness() -> None:
    assert not is_late("ValueError: num_cpus must be positive")
    assert is_late("Exception: The current node timed out during startup. This could happen")
