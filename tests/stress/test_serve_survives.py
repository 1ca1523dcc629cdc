"""``serve`` while its server and its worker are killed under a run, and when it is killed itself."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.e2e.checkouts import Project, checkout
from tests.e2e.conftest import free_port, start_serving
from tests.e2e.test_served import Api

pytestmark = [pytest.mark.stress, pytest.mark.slow, pytest.mark.e2e]


@pytest.fixture(scope="module")
def served(
    project_root: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Project, Api, psutil.Process, Path]]:
    project = checkout(project_root, tmp_path_factory.mktemp("serve") / "project")
    assert project("repo-pipeline", "use", "smoke").returncode == 0
    port, log = free_port(), project.folder.parent / "serve.log"
    process = start_serving(project, port, log)
    yield project, Api(f"http://127.0.0.1:{port}/api"), psutil.Process(process.pid), log
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=60)


def child(serve: psutil.Process, word: str) -> psutil.Process:
    """The service of ``serve`` whose command has the word."""
    (found,) = [p for p in serve.children() if word in p.cmdline()]
    return found


def wait_for(condition: object, seconds: float) -> None:
    end = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.5)


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
    wait_for(lambda: (project.folder / ".prefect" / "live" / run).exists(), 120)
    time.sleep(5)
    child(serve, service).kill()
    wait_for(lambda: f"Prefect's {service} ended; started again" in log.read_text(), 30)

    def ended() -> bool:
        try:
            return str(api.last_run()["state"]["type"]) not in ("RUNNING", "PENDING", "SCHEDULED")
        except OSError:
            return False

    def over() -> bool:
        import httpx

        try:
            return ended()
        except httpx.HTTPError:
            return False

    wait_for(over, 300)
    again = project("prefect", "deployment", "run", "repo-pipeline/full", "--watch")
    assert again.returncode == 0, again.stdout[-2000:]


def test_kill_9_of_serve_leaves_nothing(
    served: tuple[Project, Api, psutil.Process, Path],
) -> None:
    project, _, serve, _ = served
    started = project(
        *("prefect", "deployment", "run", "repo-pipeline/full"),
        *("--param", 'targets=["train"]', "--param", "force=true"),
    )
    assert started.returncode == 0

    def here(word: str) -> list[psutil.Process]:
        return [
            process
            for process in psutil.process_iter(["cmdline", "cwd"])
            if (process.info["cwd"] or "").startswith(str(project.folder))
            and word in " ".join(process.info["cmdline"] or [])
        ]

    wait_for(lambda: here("stages.train"), 180)
    os.kill(serve.pid, signal.SIGKILL)
    wait_for(lambda: not here("prefect") and not here("stages.") and not here("dvc"), 60)
    done = project("repo-pipeline", "run")
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
