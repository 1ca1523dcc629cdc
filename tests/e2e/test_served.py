"""``repo-pipeline serve``: deployments, states, logs and artifacts on Prefect's page, cancelling."""

import base64
import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import psutil
import pytest

from tests.e2e.checkouts import Project
from tests.e2e.conftest import Served
from tests.hostile import attack

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


class Api:
    """The few questions to Prefect's REST API that the tests ask."""

    def __init__(self, address: str, folder: Path) -> None:
        server = json.loads((folder / ".prefect" / "server.json").read_text())
        secret = base64.b64encode(server["auth"].encode()).decode()
        self._client = httpx.Client(
            base_url=address, timeout=30, headers={"Authorization": f"Basic {secret}"}
        )
        token = self._client.get("/csrf-token", params={"client": "tests"}).json()["token"]
        self._client.headers.update({"Prefect-Csrf-Token": token, "Prefect-Csrf-Client": "tests"})

    def post(self, path: str, **body: Any) -> Any:
        answer = self._client.post(path, json=body)
        answer.raise_for_status()
        return answer.json()

    def last_run(self) -> dict[str, Any]:
        return self.post("/flow_runs/filter", sort="EXPECTED_START_TIME_DESC", limit=1)[0]

    def tasks(self, run: str) -> dict[str, str]:
        """Task -> the name of its state."""
        chosen = {"id": {"any_": [run]}}
        return {
            t["name"]: t["state"]["name"] for t in self.post("/task_runs/filter", flow_runs=chosen)
        }

    def logs(self, run: str) -> list[str]:
        chosen = {"flow_run_id": {"any_": [run]}}
        return [entry["message"] for entry in self.post("/logs/filter", logs=chosen, limit=200)]

    def artifacts(self, run: str) -> dict[str, Any]:
        chosen = {"flow_run_id": {"any_": [run]}}
        found = self.post("/artifacts/filter", artifacts=chosen, limit=200)
        return {artifact["key"]: artifact for artifact in found}


@pytest.fixture(scope="module")
def api(served: Served) -> Api:
    return Api(served.api, served.project.folder)


def test_the_page_shows_one_task_per_stage_with_log_and_artifacts(
    project: Project, api: Api
) -> None:
    run = api.last_run()
    assert run["state"]["type"] == "COMPLETED"
    stages = json.loads(project("repo-pipeline", "plan", "--json").stdout)["stages"]
    assert api.tasks(run["id"]) == {stage["name"]: "Completed" for stage in stages}
    logs = api.logs(run["id"])
    assert any("documents to train on" in line for line in logs)
    assert any("Running stage 'corpus'" in line for line in logs)  # DVC's own lines as well
    artifacts = api.artifacts(run["id"])
    assert {"plan", "results", "report", "progress-train-repo-42"} <= set(artifacts)
    results = artifacts["results"]["data"]
    assert "RePo against RoPE: " in results  # the answer first, then every score
    assert results.index("RePo against RoPE: ") < results.index("niah_single_1")
    assert "never ran here" in artifacts["plan"]["data"]
    assert artifacts["progress-train-repo-42"]["data"] == 100


def test_only_this_folder_has_the_key_to_the_server(project: Project, tmp_path: Path) -> None:
    address = json.loads((project.folder / ".prefect" / "server.json").read_text())["api"]
    for name in ("prefect.toml", ".prefect/server.json"):
        assert (project.folder / name).stat().st_mode & 0o077 == 0
    assert (project.folder / ".prefect").stat().st_mode & 0o077 == 0
    assert httpx.get(f"{address}/csrf-token", params={"client": "x"}).status_code == 401
    done = subprocess.run(
        project.command("prefect", "deployment", "ls"),
        cwd=tmp_path,
        env=project.environment(PREFECT_API_URL=address, PREFECT_HOME=str(tmp_path)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0 and "401" in done.stdout + done.stderr
    here = project("prefect", "deployment", "ls")
    assert here.returncode == 0 and "repo-pipeline/smoke" in here.stdout


def test_nobody_else_is_let_in(served: Served) -> None:
    server = json.loads((served.project.folder / ".prefect" / "server.json").read_text())
    attack.another_user(served.api, every=False)
    attack.another_page(served.api, server["auth"])
    attack.sockets(served.api)
    attack.addresses(served.process.pid)


def test_a_second_run_skips_every_stage(project: Project, api: Api) -> None:
    done = project("prefect", "deployment", "run", "repo-pipeline/full", "--watch")
    assert done.returncode == 0
    assert set(api.tasks(api.last_run()["id"]).values()) == {"Skipped"}


def test_a_cancelled_run_leaves_no_process(project: Project, api: Api) -> None:
    before = project.models()
    run = start_training(project, api)
    began = time.monotonic()
    cancelling = {"type": "CANCELLING", "name": "Cancelling"}
    api.post(f"/flow_runs/{UUID(run)}/set_state", state=cancelling)
    until(lambda: not processes(project, "stages.", "dvc", "raylet", "gcs_server"), 60)
    took = time.monotonic() - began
    until(lambda: api.last_run()["state"]["type"] == "CANCELLED", 60)
    after = project.models()
    assert after.keys() == before.keys()
    changed = {Path(name).parent for name in after if after[name] != before[name]}
    # Within its grace the training under way may come to its end, and its model with it.
    assert len(changed) <= 1, changed
    print(f"stopped {took:.1f} s after the word")
    assert took < 30  # a guard against a hang: 10 s are promised on a quiet machine


def test_a_run_from_a_terminal_is_on_the_page_too(project: Project, api: Api) -> None:
    done = project("repo-pipeline", "run", "extend", "--force")
    assert done.returncode == 0, done.stdout + done.stderr
    run = api.last_run()
    assert run["deployment_id"] is None
    assert run["parameters"]["targets"] == ["extend"]
    assert api.tasks(run["id"])["extend@repo-42"] == "Completed"


def test_a_run_whose_process_was_killed_is_ended_on_the_page(project: Project, api: Api) -> None:
    run = start_training(project, api)
    live = project.folder / ".prefect" / "live" / run
    os.kill(int(live.read_text().partition(":")[0]), 9)
    until(lambda: api.last_run()["state"]["type"] == "CRASHED", 60)
    until(lambda: not processes(project, "stages.", "dvc"), 30)
    done = project("repo-pipeline", "run")
    assert done.returncode == 0, done.stdout + done.stderr


def start_training(project: Project, api: Api) -> str:
    """Start the deployment with a forced training and wait until it trains; the flow run's id."""
    started = project(
        *("prefect", "deployment", "run", "repo-pipeline/full"),
        *("--param", 'targets=["train"]', "--param", "force=true"),
    )
    assert started.returncode == 0, started.stdout + started.stderr
    until(lambda: processes(project, "stages.train"), 120)
    return str(api.last_run()["id"])


def processes(project: Project, *words: str) -> list[int]:
    """Processes that work in the project and whose command has one of the words."""
    found = []
    for process in psutil.process_iter(["pid", "cmdline", "cwd"]):
        command = " ".join(process.info["cmdline"] or [])
        here = (process.info["cwd"] or "").startswith(str(project.folder))
        if here and any(word in command for word in words):
            found.append(process.info["pid"])
    return found


def until(condition: Any, seconds: float) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.3)
