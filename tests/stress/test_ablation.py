"""The deployment ``ablation`` on a served Prefect: here in worktrees, and on a cluster of two nodes."""

import json
import signal
import subprocess
import time
from collections.abc import Iterator

import pytest

from infra.local.two_nodes import TwoNodes
from tests.e2e.conftest import free_port
from tests.e2e.test_served import Api
from tests.pipeline.remote.conftest import Laptop
from tests.pipeline.remote.test_two_nodes import cluster, laptop

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
    yield Api(f"http://127.0.0.1:{port}/api")
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


def test_here(laptop: Laptop, api: Api) -> None:
    ablate(laptop)
    found = runs(api)
    assert {run["state"]["type"] for run in found} == {"COMPLETED"}  # type: ignore[index]
    for run in found[:2]:
        assert api.tasks(run["id"])["train@repo-42"] in ("Completed", "Skipped")
    experiments = laptop.run("dvc", "exp", "list", "--name-only").stdout.split()
    assert len(experiments) == 2


def test_on_the_cluster(laptop: Laptop, api: Api, cluster: TwoNodes) -> None:
    file = laptop.folder.parent / "addressed.yaml"
    address = laptop.environment["RAY_API_SERVER_ADDRESS"]
    file.write_text(f"address: {address}\nenvironment: {{REPO_PARALLEL_STAGES: '1'}}\n")
    ablate(laptop, "--param", f"cluster={json.dumps(str(file))}")
    found = runs(api)
    assert {run["state"]["type"] for run in found} == {"COMPLETED"}  # type: ignore[index]
    for run in found[:2]:
        tasks = api.tasks(run["id"])
        assert {"corpus", "tokenize", "base", "train@repo-42"} <= set(tasks)
        assert set(tasks.values()) <= {"Completed", "Skipped"}
    assert any("train@repo-42: starts from" in line for line in api.logs(found[0]["id"]))
    assert laptop.git("status", "--porcelain", "params.yaml") == ""  # the checkout is as it was
