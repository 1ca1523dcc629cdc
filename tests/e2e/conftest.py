"""One checkout, served by Prefect and run once through a deployment, for all end-to-end tests."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.checkouts import Project, Run, checkout


@dataclass(frozen=True)
class Served:
    """A checkout with ``repo-pipeline serve`` running in it."""

    project: Project
    api: str
    process: "subprocess.Popen[str]"
    first: Run
    """The first run of the deployment ``full``, from nothing."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start_serving(project: Project, port: int, log: Path) -> "subprocess.Popen[str]":
    """Start ``repo-pipeline serve`` and wait until it says what can be run."""
    with open(log, "w", encoding="utf-8") as file:
        process = subprocess.Popen(
            project.command("repo-pipeline", "serve", "--port", str(port)),
            cwd=project.folder,
            env=project.environment(),
            stdout=file,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
    until = time.monotonic() + 180
    while "prefect deployment run" not in log.read_text() and time.monotonic() < until:
        assert process.poll() is None, log.read_text()
        time.sleep(0.5)
    return process


@pytest.fixture(scope="package")
def served(project_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The smoke profile, run whole by ``prefect deployment run repo-pipeline/full --watch``."""
    project = checkout(project_root, tmp_path_factory.mktemp("e2e") / "project")
    assert project("repo-pipeline", "use", "smoke").returncode == 0
    port = free_port()
    process = start_serving(project, port, project.folder.parent / "serve.log")
    try:
        first = project("prefect", "deployment", "run", "repo-pipeline/full", "--watch")
        yield Served(project, f"http://127.0.0.1:{port}/api", process, first)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(timeout=60)


@pytest.fixture(scope="package")
def project(served: Served) -> Project:
    """A checkout after one whole run of the smoke profile."""
    worker = served.project.folder / ".prefect" / "logs" / "worker.log"
    assert served.first.returncode == 0, served.first.stdout[-2000:] + worker.read_text()[-4000:]
    return served.project
