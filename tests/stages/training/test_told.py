"""A run that is told to stop: what the driver does with signals and with Ray's drain notices."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from stages.training.run import SAVE, STOP, Run
from stages.training.told import saving_at_drain
from tests.stages.training.recipes import recipe
from tests.stages.training.small import model

DRIVER = """
import sys, time
from pathlib import Path
from stages.common.errors import TryAgain
from stages.training.run import STOP, Run
from stages.training.told import saving_first
folder, needs = Path(sys.argv[1]), float(sys.argv[2])
run = Run(None, 0, folder, folder, None)
try:
    with saving_first(run):
        print("training", flush=True)
        while not (folder / STOP).exists():
            time.sleep(0.01)
        end = time.monotonic() + needs
        while time.monotonic() < end:
            time.sleep(0.05)
    print("saved", flush=True)
except TryAgain as error:
    print(error, flush=True)
"""


class Driver:
    """A process that saves for some seconds once it is told to stop."""

    def __init__(self, root: Path, folder: Path, needs: float, grace: int = 60) -> None:
        environment = {**os.environ, "REPO_GRACE_SECONDS": str(grace)}
        command = [sys.executable, "-c", DRIVER, str(folder), str(needs)]
        self.process = subprocess.Popen(
            command, cwd=root, env=environment, stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "training\n"

    def told(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def end(self) -> list[str]:
        return self.process.communicate(timeout=60)[0].splitlines()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_every_signal_saves_first_and_its_echoes_do_no_harm(
    project_root: Path, tmp_path: Path, number: signal.Signals
) -> None:
    driver = Driver(project_root, tmp_path, needs=2.0)
    driver.told(number)
    while not (tmp_path / STOP).exists():
        time.sleep(0.01)
    for echo in (signal.SIGINT, signal.SIGTERM, signal.SIGTERM, signal.SIGHUP):
        driver.told(echo)
    said = driver.end()
    assert said[0] == f"{number.name}: saving a checkpoint after this step, then ending"
    assert said[1:] == ["saved"]
    assert (tmp_path / STOP).read_text() == number.name


def test_a_second_ctrl_c_and_the_end_of_the_grace_end_it(
    project_root: Path, tmp_path: Path
) -> None:
    impatient, late = tmp_path / "impatient", tmp_path / "late"
    for folder in (impatient, late):
        folder.mkdir()
    first = Driver(project_root, impatient, needs=50.0)
    second = Driver(project_root, late, needs=50.0, grace=1)
    first.told(signal.SIGINT)
    second.told(signal.SIGTERM)
    time.sleep(1.3)
    first.told(signal.SIGINT)
    for driver in (first, second):
        assert driver.end()[-1].startswith("stopped; nothing was saved within ")


def test_each_drained_node_asks_for_one_checkpoint(tmp_path: Path) -> None:
    run = Run(recipe(), 0, tmp_path, tmp_path, model)
    nodes: set[str] = set()
    asked = tmp_path / SAVE
    with saving_at_drain(run, lambda: set(nodes), look_s=0.01):
        time.sleep(0.1)
        assert not asked.exists()
        for node in ("a", "b"):
            nodes.add(node)
            while not asked.exists():
                time.sleep(0.01)
            asked.unlink()
            time.sleep(0.1)
            assert not asked.exists()
    told = (tmp_path / "notices.log").read_text().splitlines()
    assert told == ["1 nodes are about to go: saving a checkpoint"] * 2
