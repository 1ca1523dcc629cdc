"""From a laptop to two Ray nodes and back: token auth, S3, kills, and no secret left anywhere.

Minutes long: marked ``stress``. `pytest -m stress tests/pipeline/remote/test_two_nodes.py -x`
"""

import contextlib
import json
import os
import re
import secrets
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from infra.local.two_nodes import BUCKET, TwoNodes
from tests.e2e.own_model import bring
from tests.pipeline.remote.conftest import Laptop, one_line

pytestmark = [pytest.mark.stress, pytest.mark.slow, pytest.mark.ray]
PLANTED = "planted-" + secrets.token_hex(16)
SHORT = ("--profile", "smoke", "--set", "variants=[repo]", "--set", "reference=repo")
LONG = ("train", *SHORT, "--set", "train.tokens=614400")
"""Training that takes long enough to be killed in: 300 steps."""
DEADLINE_S = 600.0


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwoNodes]:
    folder = Path("/tmp") / f"r2-{secrets.token_hex(3)}"  # Ray's sockets need a short path
    folder.mkdir(mode=0o700)
    os.environ["HF_TOKEN"] = PLANTED  # the nodes and the laptop inherit it
    made = TwoNodes(folder)
    try:
        yield made
    finally:
        del os.environ["HF_TOKEN"]
        made.close()
        subprocess.run(["rm", "-rf", str(folder)], check=False)


@pytest.fixture(scope="module")
def laptop(
    cluster: TwoNodes, project_root: Path, tmp_path_factory: pytest.TempPathFactory
) -> Laptop:
    made = Laptop(tmp_path_factory.mktemp("two") / "laptop", project_root)
    made.environment = {**cluster.laptop(), "HF_TOKEN": PLANTED}
    made.remote(f"s3://{BUCKET}/dvc", endpointurl=cluster.s3)
    made.environment["REPO_CLUSTER"] = str(made.folder.parent / "cluster.yaml")
    settings(made)
    return made


def settings(laptop: Laptop, **more: str) -> None:
    """Write the cluster file: checkpoints every second, and ``REPO_*`` settings of a test."""
    environment = {"REPO_CHECKPOINT_SECONDS": "1", "REPO_PARALLEL_STAGES": "1", **more}
    text = json.dumps({"environment": environment})  # YAML too
    Path(laptop.environment["REPO_CLUSTER"]).write_text(text)


@pytest.fixture
def elastic(laptop: Laptop) -> Iterator[None]:
    """Runs that are sent while this lasts train on one worker or two."""
    settings(laptop, REPO_WORKERS="1-2")
    yield
    settings(laptop)


def actors(cluster: TwoNodes, kind: str) -> list[dict[str, Any]]:
    answer = json.loads(cluster.get("/api/v0/actors?detail=1&limit=1000"))
    rows = answer["data"]["result"]["result"]
    return [row for row in rows if kind in row["class_name"]]


def training_workers(cluster: TwoNodes, job: str) -> list[dict[str, Any]]:
    """Training workers of the drivers that a submitted job started."""
    answer = json.loads(cluster.get("/api/v0/jobs?detail=1&limit=1000"))
    drivers = {
        row["job_id"]
        for row in answer["data"]["result"]["result"]
        if job in ((row.get("metadata") or {}).get("job_submission_id"), row.get("submission_id"))
    }
    return [row for row in actors(cluster, "RayTrainWorker") if row["job_id"] in drivers]


def head_of(cluster: TwoNodes) -> str:
    rows = json.loads(cluster.get("/api/v0/nodes?detail=1"))["data"]["result"]["result"]
    return str(next(row["node_id"] for row in rows if row["is_head_node"]))


def job_of(laptop: Laptop) -> str:
    found = sorted((laptop.folder / "runs/remote").glob("*.json"), key=lambda f: f.stat().st_mtime)
    return str(json.loads(found[-1].read_text())["job"])


def wait_for(ready: Callable[[], Any], what: str, laptop: Laptop) -> Any:
    """What ``ready`` gives, once it gives something."""
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        if found := ready():
            return found
        time.sleep(0.5)
    raise TimeoutError(f"{what} did not come:\n{laptop.pipeline('logs').stdout[-3000:]}")


def wait_for_line(laptop: Laptop, pattern: str) -> None:
    wait_for(lambda: re.search(pattern, laptop.pipeline("logs").stdout), pattern, laptop)


def checkpoints(cluster: TwoNodes) -> set[Path]:
    """Those of every training on the shared folder that are whole."""
    return set(cluster.shared.glob("runs/train/*/checkpoints/step-*/COMPLETE"))


def wait_for_checkpoint(
    cluster: TwoNodes, laptop: Laptop, follower: subprocess.Popen[str] | None = None
) -> None:
    """Until the training that just began, and that ``follower`` follows, has a checkpoint."""
    before = checkpoints(cluster)

    def ready() -> set[Path]:
        assert follower is None or follower.poll() is None, follower.communicate()
        return checkpoints(cluster) - before

    wait_for(ready, "a checkpoint", laptop)


def alive(cluster: TwoNodes, nodes: int, laptop: Laptop) -> None:
    """Until the head believes so many nodes alive; a worker node that is missing is started."""
    if nodes == 2 and 1 not in cluster.processes:
        cluster.start(1)
    wait_for(lambda: cluster.alive() == nodes, f"{nodes} nodes", laptop)


def of_the_job(cluster: TwoNodes) -> list[psutil.Process]:
    """Processes of a run: the job's children by their variable, its Ray workers by their title."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            environment, title = process.environ(), " ".join(process.cmdline())
            if environment.get("REPO_EVENTS_FILE", "").startswith(str(cluster.shared)) or (
                environment.get("RAY_AUTH_TOKEN_PATH") == str(cluster.token_file)
                and re.search("pipeline.remote.entry|start.sh|ray::(Train|RayTrain|Sync)", title)
            ):
                found.append(process)
    return found


def everything(folder: Path) -> Iterator[tuple[str, bytes]]:
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            with contextlib.suppress(OSError):
                yield str(path), path.read_bytes()


def test_there_and_back(cluster: TwoNodes, laptop: Laptop) -> None:
    done = laptop.pipeline("submit", *SHORT, "--wait")
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr
    training = actors(cluster, "RayTrainWorker")
    assert len({row["node_id"] for row in training}) == 2
    assert not (laptop.folder / "models").exists()

    assert laptop.pipeline("fetch").returncode == 0
    assert (laptop.folder / "report" / "index.html").stat().st_size > 10_000
    assert json.loads((laptop.folder / "report" / "metrics.json").read_text())
    assert "report/metrics.json" in laptop.run("dvc", "metrics", "show").stdout
    repro = laptop.run("dvc", "repro", "--allow-missing").stdout
    assert "Running stage" not in repro
    assert "Data and pipelines are up to date" in repro
    assert not list(laptop.folder.glob("models/*"))

    laptop.run("dvc", "pull", "models/repo-42")
    code = "import repo_model; print(repo_model.load('models/repo-42').config.positions)"
    assert "repo" in laptop.run("python", "-c", code).stdout
    status = laptop.pipeline("status").stdout
    assert "SUCCEEDED" in status and "(run)" in status


def test_no_secret_is_anywhere(cluster: TwoNodes, laptop: Laptop) -> None:
    """After the run above: in no file of laptop, nodes or remote, and in nothing Ray tells."""
    token = cluster.token_file.read_text()
    assert cluster.token_file.stat().st_mode & 0o777 == 0o600
    told = [cluster.get(path) for path in ("/api/jobs/", "/api/v0/actors?detail=1&limit=1000")]
    places = [("Ray's API", value) for value in told]
    places += [("logs", laptop.pipeline("logs").stdout.encode())]
    import boto3

    keys = {"aws_access_key_id": "x", "aws_secret_access_key": "y", "region_name": "us-east-1"}
    s3 = boto3.client("s3", endpoint_url=cluster.s3, **keys)
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET):
        for entry in page.get("Contents", []):
            body = s3.get_object(Bucket=BUCKET, Key=entry["Key"])["Body"].read()
            places.append((f"s3 {entry['Key']}", body))
    places += [*everything(laptop.folder.parent), *everything(cluster.folder)]
    assert len(places) > 100
    for name, content in places:
        if name == str(cluster.token_file):
            continue
        for secret in (PLANTED, cluster.secret, token):
            assert secret.encode() not in content, f"{secret[:8]}... in {name}"


def test_without_the_token_it_says_so(cluster: TwoNodes, laptop: Laptop) -> None:
    kept = laptop.environment.pop("RAY_AUTH_TOKEN_PATH")
    try:
        line = one_line(laptop.pipeline("submit", *SHORT), 2)
        assert "401, it wants a token" in line
        laptop.environment["RAY_AUTH_TOKEN"] = "0" * 64
        assert "403, it refuses our token" in one_line(laptop.pipeline("submit", *SHORT), 2)
    finally:
        laptop.environment.pop("RAY_AUTH_TOKEN", None)
        laptop.environment["RAY_AUTH_TOKEN_PATH"] = kept


def test_a_remote_that_cannot_be_written(cluster: TwoNodes, laptop: Laptop) -> None:
    laptop.run("dvc", "remote", "modify", "store", "url", "s3://no-such-bucket/dvc")
    laptop.commit()
    try:
        line = one_line(laptop.pipeline("submit", *SHORT), 2)
        assert "DVC remote 'store' (s3://no-such-bucket/dvc): cannot be written" in line
    finally:
        laptop.git("reset", "-q", "--hard", "HEAD~1")


def test_laptop_and_driver_are_killed_and_the_run_goes_on(
    cluster: TwoNodes, laptop: Laptop
) -> None:
    follower = subprocess.Popen(
        laptop.command("submit", *LONG, "--wait"),
        cwd=laptop.folder, env=laptop.env(), stdout=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip
    assert follower.stdout is not None
    assert follower.stdout.readline().startswith("submitted")
    os.killpg(follower.pid, signal.SIGKILL)
    follower.communicate()
    again = laptop.pipeline("submit", *LONG)
    assert again.returncode == 0 and "attached to job" in again.stdout
    job = job_of(laptop)
    assert job.endswith("-1")

    wait_for_checkpoint(cluster, laptop)
    driver = [p for p in of_the_job(cluster) if "pipeline.remote.entry" in " ".join(p.cmdline())]
    os.killpg(os.getpgid(driver[0].pid), signal.SIGKILL)
    wait_for(lambda: "FAILED" in laptop.pipeline("status", job).stdout, "its end", laptop)
    done = laptop.pipeline("submit", *LONG, "--wait")
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr
    assert f"as job {job[:-2]}-2" in done.stdout
    assert re.search(r"train@repo-42: resumed at step [1-9]", done.stdout), done.stdout[-4000:]


def test_cancel_leaves_no_process(cluster: TwoNodes, laptop: Laptop) -> None:
    words = ("train", *SHORT, "--set", "train.tokens=1228800")
    assert laptop.pipeline("submit", *words).returncode == 0
    wait_for_line(laptop, r"train@repo-42: .*step")
    assert of_the_job(cluster)
    assert "stopped" in laptop.pipeline("cancel").stdout
    told = time.monotonic()
    left = of_the_job(cluster)
    while left and time.monotonic() - told < 10:
        time.sleep(0.2)
        left = of_the_job(cluster)
    assert not left, [" ".join(process.cmdline()) for process in left]
    assert "STOPPED" in laptop.pipeline("status").stdout


def test_own_model_and_documents_go_by_dvc_add(cluster: TwoNodes, laptop: Laptop) -> None:
    """As docs/guide.md has it, to a model that was trained there and comes home."""
    bring(laptop.folder)
    words = ["--profile", "smoke", "--set", "base.source=my-model"]
    words += ["--set", "tokenizer.source=my-model", "--set", "corpus.path=my.jsonl"]
    (laptop.folder / ".git" / "info" / "exclude").write_text("my-model\nmy.jsonl\n")
    line = laptop.pipeline("submit", *words).stderr.strip().splitlines()[-1]
    assert "git does not hold it" in line and "dvc add" in line
    laptop.run("dvc", "add", "my-model", "my.jsonl")
    laptop.commit()
    done = laptop.pipeline("submit", *words, "--wait")
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr
    assert "pushing my-model, my.jsonl to the DVC remote" in done.stdout
    assert laptop.pipeline("fetch", "--force").returncode == 0
    laptop.run("dvc", "pull", "models/repo-42")
    code = "import repo_model; print(repo_model.load('models/repo-42').config.num_hidden_layers)"
    assert "3" in laptop.run("python", "-c", code).stdout


def test_a_node_that_comes_is_used_at_the_next_restart(
    cluster: TwoNodes, laptop: Laptop, elastic: None
) -> None:
    """At the restart Ray may see one free place only; within a minute it starts both workers."""
    if 1 in cluster.processes:
        cluster.kill(1)
    alive(cluster, 1, laptop)
    words = ("train", *SHORT, "--set", "train.tokens=2457600")
    assert laptop.pipeline("submit", *words).returncode == 0
    wait_for_checkpoint(cluster, laptop)
    job = job_of(laptop)
    (before,) = training_workers(cluster, job)
    alive(cluster, 2, laptop)
    os.kill(before["pid"], signal.SIGKILL)
    done = laptop.pipeline("submit", *words, "--wait")
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr
    assert re.search(r"train@repo-42: resumed at step [1-9]", done.stdout), done.stdout[-4000:]
    later = later_workers(cluster, job, [before])
    assert len({row["node_id"] for row in later}) == 2, later


def test_a_node_is_killed_and_the_job_ends_on_what_is_left(
    cluster: TwoNodes, laptop: Laptop, elastic: None
) -> None:
    alive(cluster, 2, laptop)
    words = ("train", *SHORT, "--set", "train.tokens=1843200")
    assert laptop.pipeline("submit", *words).returncode == 0
    wait_for_checkpoint(cluster, laptop)
    job = job_of(laptop)
    before = training_workers(cluster, job)
    assert len({row["node_id"] for row in before}) == 2
    cluster.kill(1)
    alive(cluster, 1, laptop)
    assert "RUNNING" in laptop.pipeline("status", job).stdout
    done = laptop.pipeline("submit", *words, "--wait")
    assert "attached to job" in done.stdout
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr
    later = later_workers(cluster, job, before)
    assert later, "no worker was started after the node went"
    assert {row["node_id"] for row in later} == {head_of(cluster)}


def test_a_head_that_is_started_anew_is_another_try_and_the_run_goes_on(
    cluster: TwoNodes, laptop: Laptop
) -> None:
    """It has forgotten the job; the checkpoints are on the shared folder. The last test: new nodes."""
    alive(cluster, 2, laptop)
    words = ("train", *SHORT, "--set", "train.tokens=1024000")
    follower = subprocess.Popen(
        laptop.command("submit", *words, "--wait"),
        cwd=laptop.folder, env=laptop.env(), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    wait_for_checkpoint(cluster, laptop, follower)
    for node in (0, 1):
        cluster.kill(node)
    for node in (0, 1):
        cluster.start(node)
    _, said = follower.communicate(timeout=DEADLINE_S)
    assert follower.returncode == 75, said
    assert "the job goes on" in said and "was started anew" in said and "submit again" in said
    done = laptop.pipeline("submit", *words, "--wait")
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr
    assert re.search(r"train@repo-42: resumed at step [1-9]", done.stdout), done.stdout[-4000:]


def later_workers(
    cluster: TwoNodes, job: str, before: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Training workers that a job started after those."""
    known = {row["actor_id"] for row in before}
    return [row for row in training_workers(cluster, job) if row["actor_id"] not in known]
