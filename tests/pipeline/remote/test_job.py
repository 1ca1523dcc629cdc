"""The job as Ray starts it, on this machine and without a cluster, and the way home."""

import io
import json
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

import psutil
import pytest

from pipeline.cluster_file import ClusterFile
from pipeline.remote.events import PREFIX, Event, parse
from pipeline.remote.run_folder import CARD, RunFolder
from pipeline.remote.submission import Request
from tests.pipeline.remote.conftest import Laptop, one_line

CLUSTER = ClusterFile(environment={"REPO_CPUS": "2", "REPO_PARALLEL_STAGES": "1"})


class Node:
    """A folder where a package is unpacked and run, as Ray does it."""

    def __init__(self, laptop: Laptop, folder: Path, *targets: str, **wish: Any) -> None:
        self.laptop, self.runs = laptop, folder / "runs"
        self.request = Request.of(laptop.folder, targets, CLUSTER, "smoke")
        content = self.request.tree.package(self.request.params, {**self.request.wish, **wish})[1]
        self.sent = folder / "sent"
        with zipfile.ZipFile(io.BytesIO(content)) as zipped:
            zipped.extractall(self.sent)

    def run(self) -> tuple[int, list[Event], str]:
        """Exit code, events and log of the job."""
        process = self.start()
        log = process.communicate()[0]
        events = [parse(line) for line in log.splitlines() if line.startswith(PREFIX)]
        return process.returncode, [e for e in events if e], log

    def start(self) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "pipeline.remote.entry"],
            cwd=self.sent, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env={**self.laptop.env(), "REPO_RUNS": str(self.runs), "PYTHONPATH": str(self.sent)},
        )  # fmt: skip


@pytest.mark.stress
@pytest.mark.slow
@pytest.mark.ray
def test_a_job_leaves_its_work_on_the_remote_and_fetch_brings_it(
    laptop: Laptop, tmp_path: Path
) -> None:
    node = Node(laptop, tmp_path / "node", "corpus")
    code, events, log = node.run()
    assert code == 0, log
    assert [e.state for e in events if e.stage is None][-1] == "completed"
    checkout = node.runs / "checkouts" / node.request.run
    assert (checkout / "data" / "corpus").is_dir()
    assert (node.runs / "corpus").is_dir()  # resumable state is shared, not the checkout's

    fetched = laptop.pipeline("fetch", node.request.run)
    assert fetched.returncode == 0, fetched.stderr
    assert "completed" in fetched.stdout
    assert (laptop.folder / "params.yaml").read_text() == node.request.params
    repro = laptop.run("dvc", "repro", "--allow-missing", "corpus").stdout
    assert "didn't change, skipping" in repro and "Running" not in repro
    assert not (laptop.folder / "data").exists()
    laptop.run("dvc", "pull", "corpus")
    assert list((laptop.folder / "data" / "corpus").rglob("*.jsonl"))

    again, events, log = node.run()  # a later attempt finds the work done
    assert again == 0 and "nothing to do" in log

    # Another cluster, with the lock that came home: it pulls what the next stage needs.
    other = Node(laptop, tmp_path / "other", "tokenizer")
    code, events, log = other.run()
    assert code == 0, log
    assert "pulling 1 stages from the remote" in log
    ran = {e.stage for e in events if e.state == "completed" and e.stage}
    assert ran == {"tokenizer"}


def test_a_remote_that_cannot_be_written_is_one_line(laptop: Laptop, tmp_path: Path) -> None:
    (tmp_path / "store").write_text("a file where a folder should be")
    code, events, _ = Node(laptop, tmp_path / "node", "corpus").run()
    assert code == 2
    assert events[-1].state == "failed"
    assert f"DVC remote 'store' ({tmp_path / 'store'}): cannot be written" in events[-1].line
    assert "\n" not in events[-1].line


def test_runs_that_cannot_be_written_and_a_wrong_python_are_one_line(
    laptop: Laptop, tmp_path: Path
) -> None:
    node = Node(laptop, tmp_path / "node", "corpus", runs="/proc/nowhere")
    code, events, _ = node.run()
    assert code == 2 and "REPO_RUNS on the cluster is '/proc/nowhere'" in events[-1].line
    node = Node(laptop, tmp_path / "other", "corpus", python="3.99.0")
    code, events, _ = node.run()
    assert code == 2 and "sent with 3.99.0" in events[-1].line


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.stress
def test_a_job_that_is_told_to_stop_stops_all_it_started(laptop: Laptop, tmp_path: Path) -> None:
    node = Node(laptop, tmp_path / "node", "tokenizer")
    process = node.start()
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith(f"{PREFIX}") and '"tokenizer"' in line and "running" in line:
            break
    family = psutil.Process(process.pid).children(recursive=True)
    assert family
    asked = time.monotonic()
    process.send_signal(signal.SIGTERM)  # to it alone; Ray would tell the others too
    rest = process.communicate(timeout=60)[0]
    assert time.monotonic() - asked < 10
    assert process.returncode == 75
    assert "cancelled; submit again to go on from here" in rest
    assert not [p for p in family if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]


@pytest.fixture
def made(laptop: Laptop, tmp_path: Path) -> tuple[str, Path]:
    """A run folder on the remote: its name, and the folder."""
    source = tmp_path / "made"
    (source / "report").mkdir(parents=True)
    request = Request.of(laptop.folder, (), CLUSTER, "tiny")
    (source / "params.yaml").write_text(request.params)
    (source / "dvc.lock").write_text("schema: '2.0'\nstages: {}\n")
    (source / "report" / "index.html").write_text("<p>report")
    sent = {name: request.wish[name] for name in ("run", "commit", "tree", "targets")}
    names = ["params.yaml", "dvc.lock", "report/index.html"]
    RunFolder(laptop.folder, request.run).put(source, names, {**sent, "code": 0, "line": "done"})
    return request.run, tmp_path / "store" / "repo-runs" / request.run


def test_fetch_puts_lock_and_report_and_again(laptop: Laptop, made: tuple[str, Path]) -> None:
    for _ in range(2):
        assert laptop.pipeline("fetch", made[0]).returncode == 0
        assert (laptop.folder / "report" / "index.html").read_text() == "<p>report"
        assert (laptop.folder / "dvc.lock").read_text().startswith("schema")


def test_fetch_refuses_another_commit(laptop: Laptop, made: tuple[str, Path]) -> None:
    (laptop.folder / "more.txt").write_text("x")
    laptop.commit()
    line = one_line(laptop.pipeline("fetch", made[0]), 2)
    assert "was made from commit" in line and "git checkout" in line
    assert not (laptop.folder / "dvc.lock").exists()


def test_fetch_keeps_a_lock_that_no_commit_holds(laptop: Laptop, made: tuple[str, Path]) -> None:
    mine = "schema: '2.0'\nstages: {} # mine\n"
    (laptop.folder / "dvc.lock").write_text(mine)
    line = one_line(laptop.pipeline("fetch", made[0]), 2)
    assert "dvc.lock has changes that are not committed" in line
    assert (laptop.folder / "dvc.lock").read_text() == mine
    assert laptop.pipeline("fetch", made[0], "--force").returncode == 0
    assert (laptop.folder / "dvc.lock").read_text() != mine


def test_fetch_finds_damage_and_leads_nowhere_else(laptop: Laptop, made: tuple[str, Path]) -> None:
    run, folder = made
    (folder / "dvc.lock").write_text("schema: '2.0'\nstages: {x: {}}\n")
    assert "dvc.lock on the remote is damaged" in one_line(laptop.pipeline("fetch", run), 2)
    card = json.loads((folder / CARD).read_text())
    card["files"]["../../../escaped"] = "0" * 64
    (folder / CARD).write_text(json.dumps(card))
    assert "which no run folder has" in one_line(laptop.pipeline("fetch", run), 2)
    card["format"] = 99
    (folder / CARD).write_text(json.dumps(card))
    assert "has format 99" in one_line(laptop.pipeline("fetch", run), 2)
    assert not (laptop.folder / "dvc.lock").exists()
