"""``serve`` while its server and its worker are killed under a run, and when it is killed itself."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from tests.e2e.checkouts import Project, checkout
from tests.e2e.conftest import free_port, start_serving
from tests.e2e.test_served import Api, processes, start_training, until

pytestmark = [pytest.mark.stress, pytest.mark.slow, pytest.mark.e2e]


@pytest.fixture(scope="module")
def served(
    project_root: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Project, Api, psutil.Process, Path]]:
    project = checkout(project_root, tmp_path_factory.mktemp("serve") / "project")
    assert project("repo-pipeline", "use", "smoke").returncode == 0
    port, log = free_port(), project.folder.parent / "serve.log"
    process = start_serving(project, port, log)
    yield (
        project,
        Api(f"http://127.0.0.1:{port}/api", project.folder),
        psutil.Process(process.pid),
        log,
    )
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=60)


def child(serve: psutil.Process, word: str) -> psutil.Process:
    """The service of ``serve`` whose command has the word."""
    (found,) = [p for p in serve.children() if word in p.cmdline()]
    return found


@pytest.mark.parametrize("service", ["worker", "server"])
def test_a_run_outlives_what_shows_it(
    served: tuple[Project, Api, psutil.Process, Path], service: str
) -> None:
    project, api, serve, log = served
    started = project(
        *("prefect", "deployment", "run", "repo-pipeline/full"),
        *("--param", 'targets=["tokenize"]', "--param", "force=true"),
    )
    assert started.returncode == 0
    run = api.last_run()["id"]
    until(lambda: (project.folder / ".prefect" / "live" / run).exists(), 120)
    child(serve, service).kill()
    until(lambda: f"Prefect's {service} ended; started again" in log.read_text(), 30)
    until(lambda: ended(api) is not None, 300)
    assert ended(api) == "COMPLETED"
    again = project("prefect", "deployment", "run", "repo-pipeline/full", "--watch")
    assert again.returncode == 0, again.stdout[-2000:]


def ended(api: Api) -> str | None:
    """Type of the last run's state once it is over; none before, and while the server is away."""
    try:
        state = str(api.last_run()["state"]["type"])
    except httpx.HTTPError:
        return None
    return None if state in ("RUNNING", "PENDING", "SCHEDULED") else state


def test_kill_9_of_serve_leaves_nothing(
    served: tuple[Project, Api, psutil.Process, Path],
) -> None:
    project, api, serve, _ = served
    start_training(project, api)
    os.kill(serve.pid, signal.SIGKILL)
    until(lambda: not processes(project, "prefect", "stages.", "dvc"), 60)
    done = project("repo-pipeline", "run")
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
