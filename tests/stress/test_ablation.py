"""A served Prefect and a cluster of two nodes: the deployment ``ablation`` here and there, and what
becomes of a job on the cluster when its flow run ends or is cancelled."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.local.two_nodes import TwoNodes
from tests.e2e.conftest import free_port
from tests.e2e.test_served import Api, until
from tests.pipeline.remote.conftest import Laptop
from tests.pipeline.remote.test_two_nodes import (
    cluster,
    job_of,
    laptop,
    of_the_job,
    wait_for_checkpoint,
)

pytestmark = [pytest.mark.stress, pytest.mark.slow, pytest.mark.e2e]
__all__ = ["cluster", "laptop"]
SMALL = (
    *("--param", "profile=smoke", "--param", 'sweep={"train.start_layer": [0, 1]}'),
    *("--param", 'overrides=["variants=[repo]"]', "--param", 'targets=["train"]'),
)


@pytest.fixture(scope="module")
def api(laptop: Laptop) -> Iterator[Api]:
    port, log = free_port(), laptop.folder.parent / "serve.log"
    with open(log, "w", encoding="utf-8") as file:
        process = subprocess.Popen(
            laptop.command("serve", "--port", str(port)),
            cwd=laptop.folder,
            env=laptop.env(),
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    until = time.monotonic() + 180
    while "prefect deployment run" not in log.read_text():
        assert process.poll() is None and time.monotonic() < until, log.read_text()
        time.sleep(0.5)
    yield Api(f"http://127.0.0.1:{port}/api", laptop.folder)
    process.send_signal(signal.SIGTERM)
    process.wait(timeout=60)


def runs(api: Api) -> list[dict[str, str]]:
    """Flow runs, the last one first: the deployment's own and one for each start layer."""
    return api.post("/flow_runs/filter", sort="START_TIME_DESC", limit=3)


def ablate(laptop: Laptop, *more: str) -> None:
    done = laptop.run(
        *("prefect", "deployment", "run", "repo-pipeline/ablation", "--watch"), *SMALL, *more
    )
    worker = laptop.folder / ".prefect" / "logs" / "worker.log"
    assert "Completed" in done.stdout, done.stdout[-2000:] + worker.read_text()[-4000:]


def addressed(laptop: Laptop) -> Path:
    """A cluster file that names the cluster, as a deployment is given it."""
    file = laptop.folder.parent / "addressed.yaml"
    environment = {"REPO_PARALLEL_STAGES": "1", "REPO_CHECKPOINT_SECONDS": "1"}
    address = laptop.environment["RAY_API_SERVER_ADDRESS"]
    file.write_text(json.dumps({"address": address, "environment": environment}))
    return file


def test_here(laptop: Laptop, api: Api) -> None:
    ablate(laptop)
    found = runs(api)
    assert {run["state"]["type"] for run in found} == {"COMPLETED"}  # type: ignore[index]
    for run in found[:2]:
        assert api.tasks(run["id"])["train@repo-42"] in ("Completed", "Skipped")
    experiments = laptop.run("dvc", "exp", "list", "--name-only").stdout.split()
    assert len(experiments) == 2


def test_on_the_cluster(laptop: Laptop, api: Api, cluster: TwoNodes) -> None:
    ablate(laptop, "--param", f"cluster={json.dumps(str(addressed(laptop)))}")
    found = runs(api)
    assert {run["state"]["type"] for run in found} == {"COMPLETED"}  # type: ignore[index]
    for run in found[:2]:
        tasks = api.tasks(run["id"])
        assert {"corpus", "tokenize", "base", "train@repo-42"} <= set(tasks)
        assert set(tasks.values()) <= {"Completed", "Skipped"}
    assert any("train@repo-42: starts from" in line for line in api.logs(found[0]["id"]))
    assert laptop.git("status", "--porcelain", "params.yaml") == ""  # the checkout is as it was


def test_a_job_outlives_its_flow_run_and_ends_with_a_cancelled_one(
    laptop: Laptop, api: Api, cluster: TwoNodes
) -> None:
    words = (
        *("prefect", "deployment", "run", "repo-pipeline/full", "--param", "profile=smoke"),
        *("--param", 'overrides=["variants=[repo]", "train.tokens=2457600"]'),
        *("--param", 'targets=["train"]', "--param", f"cluster={addressed(laptop)}"),
    )
    laptop.run(*words)
    live = laptop.folder / ".prefect" / "live"
    until(lambda: api.logs(api.last_run()["id"]), 120)
    first = api.last_run()["id"]
    wait_for_checkpoint(cluster, laptop)
    job = job_of(laptop)
    os.kill(int((live / first).read_text().partition(":")[0]), signal.SIGTERM)
    until(lambda: api.last_run()["state"]["type"] in ("CRASHED", "FAILED"), 60)
    assert "RUNNING" in laptop.pipeline("status", job).stdout

    laptop.run(*words)
    until(lambda: api.last_run()["id"] != first, 60)
    second = api.last_run()["id"]
    until(lambda: any(f"attached to job {job}" in line for line in api.logs(second)), 120)
    until(lambda: "train@repo-42" in api.tasks(second), 60)
    cancelling = {"type": "CANCELLING", "name": "Cancelling"}
    api.post(f"/flow_runs/{second}/set_state", state=cancelling)
    until(lambda: "STOPPED" in laptop.pipeline("status", job).stdout, 60)
    until(lambda: not of_the_job(cluster), 10)
    until(lambda: api.last_run()["state"]["type"] == "CANCELLED", 60)
