"""Identity, package and attempts of a run, against a server that keeps what it is sent."""

import io
import json
import signal
import subprocess
import zipfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from pipeline.cluster_file import ClusterFile
from pipeline.events import VARIABLE, emit
from pipeline.remote import follow
from pipeline.remote.api import Jobs
from pipeline.remote.events import PREFIX, Tail, parse
from pipeline.remote.submission import Request, outcome, submit
from stages.common.errors import TryAgain, UserError
from tests.pipeline.remote.conftest import Answer, Laptop

SECRET = "planted-" + "s3cr3t" * 4


class Cluster:
    """A Ray dashboard in miniature: jobs do not run, their states are set by the test."""

    def __init__(self) -> None:
        self.jobs: dict[str, dict[str, Any]] = {}
        self.packages: dict[str, bytes] = {}
        self.uploads = 0

    def __call__(self, method: str, path: str, body: bytes) -> Answer:
        name = path.rstrip("/").rpartition("/")[2]
        if path == "/api/version":
            return 200, {"ray_version": version("ray")}
        if path.startswith("/api/packages/"):
            if method == "PUT":
                self.uploads += 1
                self.packages[name] = body
            return (200, "") if name in self.packages else (404, "")
        if path == "/api/jobs/" and method == "POST":
            sent = json.loads(body)
            self.jobs[sent["submission_id"]] = {**sent, "status": "RUNNING", "start_time": 1}
            return 200, {"submission_id": sent["submission_id"]}
        if path == "/api/jobs/":
            return 200, list(self.jobs.values())
        if path.endswith("/stop"):
            self.jobs[path.split("/")[-2]]["status"] = "STOPPED"
            return 200, {"stopped": True}
        return (200, self.jobs[name]) if name in self.jobs else (404, "no such job")


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


@pytest.fixture
def jobs(
    cluster: Cluster, server: Callable[[Any], str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Jobs:
    monkeypatch.setenv("REPO_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("RAY_AUTH_TOKEN", SECRET)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    return Jobs(server(cluster))


def request_of(laptop: Laptop, *targets: str, **more: Any) -> Request:
    return Request.of(laptop.folder, targets, ClusterFile(), more.pop("profile", "smoke"), **more)


def test_the_run_follows_from_commit_params_and_targets(laptop: Laptop) -> None:
    first = request_of(laptop)
    assert first.run.startswith("smoke-")
    assert request_of(laptop).run == first.run
    others = [
        request_of(laptop, "train").run,
        request_of(laptop, profile="tiny").run,
        request_of(laptop, overrides=["train.start_layer=0"]).run,
    ]
    (laptop.folder / "new.txt").write_text("x")
    others.append(request_of(laptop, dirty=True).run)
    laptop.commit()
    others.append(request_of(laptop).run)
    assert len({first.run, *others}) == 6


def test_the_package_is_the_commit_and_nothing_else(laptop: Laptop) -> None:
    (laptop.folder / "runs").mkdir()
    (laptop.folder / "runs" / "big").write_text("ignored by git")
    (laptop.folder / "dvc.lock").write_text("schema: '2.0'\n")
    request = request_of(laptop)
    name, content = request.tree.package(request.params, request.wish)
    with zipfile.ZipFile(io.BytesIO(content)) as zipped:
        files = set(zipped.namelist())
        tracked = set(laptop.git("ls-files").splitlines())
        assert files == tracked | {"submission.json", "dvc.lock"}
        assert zipped.read("params.yaml").decode() == request.params
        assert zipped.read("dvc.yaml") == (laptop.folder / "dvc.yaml").read_bytes()
        assert json.loads(zipped.read("submission.json"))["run"] == request.run
    assert request.tree.package(request.params, request.wish)[0] == name  # equal bytes


def test_dirty_sends_edits_and_new_files_and_leaves_the_index(laptop: Laptop) -> None:
    (laptop.folder / "mine.py").write_text("new = 1\n")
    (laptop.folder / "dvc.yaml").open("a").write("# edited\n")
    before = laptop.git("status", "--porcelain")
    with pytest.raises(UserError, match="not committed"):
        request_of(laptop)
    request = request_of(laptop, dirty=True)
    with zipfile.ZipFile(io.BytesIO(request.tree.package("", {})[1])) as zipped:
        assert zipped.read("mine.py") == b"new = 1\n"
        assert zipped.read("dvc.yaml").endswith(b"# edited\n")
    assert laptop.git("status", "--porcelain") == before


def test_submitting_again_attaches_and_a_failed_run_gets_a_new_attempt(
    laptop: Laptop, cluster: Cluster, jobs: Jobs
) -> None:
    request = request_of(laptop)
    sent, attached = submit(jobs, request)
    assert attached is None and sent.job == f"{request.run}-1"
    again, attached = submit(jobs, request)
    assert attached is not None and again.job == sent.job
    cluster.jobs[sent.job]["status"] = "FAILED"
    third, attached = submit(jobs, request)
    assert attached is None and third.job == f"{request.run}-2"
    jobs.stop(third.job)
    assert submit(jobs, request)[0].job == f"{request.run}-3"
    assert cluster.uploads == 1


def test_no_secret_is_sent_or_kept(
    laptop: Laptop, cluster: Cluster, jobs: Jobs, tmp_path: Path
) -> None:
    laptop.remote("s3://bucket/dvc", endpointurl="http://127.0.0.1:9")
    laptop.run("dvc", "remote", "modify", "--local", "store", "secret_access_key", SECRET)
    submit(jobs, request_of(laptop))
    with zipfile.ZipFile(io.BytesIO(next(iter(cluster.packages.values())))) as zipped:
        contents = [zipped.read(name) for name in zipped.namelist()]
    kept = [path.read_bytes() for path in (tmp_path / "runs").rglob("*") if path.is_file()]
    assert kept
    for content in [*contents, *kept, json.dumps(cluster.jobs).encode()]:
        assert SECRET.encode() not in content


@pytest.mark.parametrize(
    ("state", "code"),
    [
        ({"status": "SUCCEEDED", "driver_exit_code": 0}, 0),
        ({"status": "FAILED", "driver_exit_code": 2}, 2),
        ({"status": "FAILED", "driver_exit_code": 75}, 75),
        ({"status": "FAILED", "driver_exit_code": 1}, 1),
        ({"status": "FAILED", "driver_exit_code": -9}, 75),
        ({"status": "FAILED"}, 75),
        ({"status": "STOPPED"}, 75),
    ],
)
def test_exit_codes(
    laptop: Laptop, cluster: Cluster, jobs: Jobs, state: dict[str, Any], code: int
) -> None:
    sent, _ = submit(jobs, request_of(laptop))
    cluster.jobs[sent.job].update(state)
    found = jobs.find(sent.job)
    assert found is not None and outcome(found) == code


def test_following_survives_a_lost_connection_and_repeats_nothing() -> None:
    from pipeline.remote.target import JobInfo, Unreachable

    class Flaky:
        """The third connection gets to the end; the second is refused."""

        address, calls, tails = "http://head", 0, 0

        def find(self, job: str) -> JobInfo:
            self.calls += 1
            if self.calls == 2:
                raise Unreachable("http://head: nobody answers")
            status = "SUCCEEDED" if self.tails >= 2 else "RUNNING"
            return JobInfo(job, status, "", {}, None, None, None)

        def tail(self, job: str) -> Any:
            self.tails += 1
            yield "one\ntw"
            if self.tails == 1:
                raise Unreachable("http://head: lost")
            yield "o\nthree\n"

        def logs(self, job: str) -> str:
            return "one\ntwo\nthree\nlast, without an end"

    lost: list[str] = []
    found = list(follow.lines(Flaky(), "job", lost.append))  # type: ignore[arg-type]
    assert found == ["one", "two", "three", "last, without an end"]
    assert len(lost) == 1 and "the job goes on" in lost[0]


def test_a_head_that_was_started_anew_is_another_try_and_no_mistake() -> None:
    from pipeline.remote.target import JobInfo

    class Forgetful:
        """Knows the job until its connection is lost."""

        address, tails = "http://head", 0

        def find(self, job: str) -> JobInfo | None:
            return None if self.tails else JobInfo(job, "RUNNING", "", {}, None, None, None)

        def tail(self, job: str) -> Any:
            self.tails += 1
            yield "step 1\n"

    found = follow.lines(Forgetful(), "job", lambda line: None)  # type: ignore[arg-type]
    assert next(found) == "step 1"
    with pytest.raises(TryAgain, match=r"started anew .* submit again"):
        next(found)
    never = Forgetful()
    never.tails = 1
    with pytest.raises(UserError, match="does not know it"):
        next(follow.lines(never, "job", lambda line: None))  # type: ignore[arg-type]


def test_ctrl_c_detaches_and_leaves_the_job(
    laptop: Laptop, cluster: Cluster, server: Callable[[Any], str]
) -> None:
    words = ("submit", "--profile", "smoke", "--wait", "--address", server(cluster))
    process = subprocess.Popen(
        laptop.command(*words), cwd=laptop.folder, env=laptop.env(), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        # A shell's background job, which this may be, ignores SIGINT, and so do its children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    assert process.stderr is not None
    # The miniature has no websocket: following it is a lost connection, tried again and again.
    assert "trying again, the job goes on" in process.stderr.readline()
    process.send_signal(signal.SIGINT)
    _, rest = process.communicate(timeout=60)
    assert process.returncode == 75
    assert "detached; the job goes on: `repo-pipeline logs --follow smoke-" in rest
    assert [job["status"] for job in cluster.jobs.values()] == ["RUNNING"]


def test_events_come_through_a_log_and_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    file = tmp_path / "events.jsonl"
    tail = Tail(file, seen.append)
    monkeypatch.setenv(VARIABLE, str(file))
    emit("train@repo-42", "progress", "step 1, loss 2 – ß")
    with open(file, "a") as half:
        half.write('{"time": "cut')
    tail.close()
    (happened,) = [parse(line) for line in seen]
    assert happened and (happened.stage, happened.state) == ("train@repo-42", "progress")
    assert happened.line == "step 1, loss 2 – ß"
    shown: list[str] = []
    log = iter(["text", PREFIX + seen[0], "::repo-event nonsense", '{"time": 1}'])
    assert list(follow.events(log, shown.append)) == [happened]
    assert shown == ["text", "::repo-event nonsense", '{"time": 1}']


def test_the_start_script_takes_the_python_of_its_raylet(
    project_root: Path, tmp_path: Path
) -> None:
    """As Ray runs it: a shell without our Python on PATH, and a raylet that was told its own."""
    import sys

    fake = tmp_path / "bin" / "python-of-ray"
    fake.parent.mkdir()
    fake.write_text(f'#!/bin/sh\necho "$0 $@"\nexec true {sys.executable}\n')
    fake.chmod(0o755)
    script = "sh pipeline/remote/start.sh; :"  # `:` keeps this shell, or it would become the other
    done = subprocess.run(
        ["sh", "-c", f"sh -c '{script}'; :", f"--python_worker_command={fake} worker.py --x=1"],
        cwd=project_root, capture_output=True, text=True, env={"PATH": "/usr/bin:/bin"}, check=True,
    )  # fmt: skip
    assert done.stdout.split() == [str(fake), "-m", "pipeline.remote.entry"]
    assert (project_root / "pipeline/remote/entry.py").is_file()
