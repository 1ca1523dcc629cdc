"""The drill of ``kill_run.py`` with one seed; other seeds: ``python benchmarks/kill_run.py``."""

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.stress
@pytest.mark.slow
@pytest.mark.e2e
def test_a_run_killed_six_times_ends_as_one_left_alone(project_root: Path) -> None:
    done = subprocess.run(
        [sys.executable, "benchmarks/kill_run.py", "--seed", "1", "--kills", "6"],
        cwd=project_root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
