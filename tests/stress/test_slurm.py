"""A real Slurm of two nodes here: submit, status, logs, time limit, lost node, cancel, fetch.

Needs root and Debian's slurmctld, slurmd and slurm-client; else it is skipped and says so.
"""

import contextlib
import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.pipeline.remote.conftest import Laptop

LACKS = [name for name in ("slurmctld", "slurmd", "sbatch") if not shutil.which(name)]
pytestmark = [
    pytest.mark.stress,
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="slurmd wants root"),
    pytest.mark.skipif(
        bool(LACKS),
        reason=f"no {LACKS}: apt-get install slurmctld slurmd slurm-client",
    ),
]
SHORT = ("--profile", "smoke", "--set", "variants=[repo]")
LONG = ("train", *SHORT, "--set", "train.tokens=204800")
LONGER = ("train", *SHORT, "--set", "train.lr=0.002", "--set", "train.tokens=4096000")
"""Minutes of training on quick cores too: a lost node is noticed after ten seconds."""
DEADLINE_S = 1800.0
CONF = """
ClusterName=t
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/none
CredType=cred/none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
SlurmdTimeout=10
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdLogFile={folder}/slurmd-%n.log
SlurmctldLogFile={folder}/slurmctld.log
SlurmctldPort={ports[0]}
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs=2 RealMemory=4000
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs=2 RealMemory=4000
PartitionName=p Nodes=n1,n2 Default=YES State=UP MaxTime=60
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until(ready: Callable[[], Any], what: Callable[[], str]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not ready():
        if time.monotonic() > deadline:
            raise TimeoutError(what())
        time.sleep(0.5)


class Cluster:
    """The daemons, by name: ``slurmctld``, ``n1``, ``n2``."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.conf = folder, folder / "slurm.conf"
        self.environment = {**os.environ, "SLURM_CONF": str(self.conf)}
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str) -> None:
        words = ["slurmctld", "-D"] if name == "slurmctld" else ["slurmd", "-D", "-N", name]
        with open(self.folder / f"{name}.out", "ab") as log:
            self.processes[name] = subprocess.Popen(
                words, env=self.environment, stdout=log, stderr=log
            )

    def lose(self, name: str) -> None:
        """What is left of a node without power: nothing."""
        self.processes.pop(name).kill()
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                step = process.name() == "slurmstepd" and f"-{name}" in " ".join(process.cmdline())
                if step or process.environ().get("SLURMD_NODENAME") == name:
                    process.kill()

    def states(self) -> list[str]:
        words = ["sinfo", "--noheader", "--Node", "--format=%T"]
        done = subprocess.run(
            words, env=self.environment, capture_output=True, text=True, check=False
        )
        return done.stdout.split()


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("slurm")
    for name in ("state", "spool-n1", "spool-n2"):
        (folder / name).mkdir()
    host, ports = socket.gethostname().split(".")[0], [free_port() for _ in range(3)]
    made = Cluster(folder)
    made.conf.write_text(CONF.format(host=host, folder=folder, ports=ports))
    try:
        for name in ("slurmctld", "n1", "n2"):
            made.start(name)
        until(
            lambda: made.states() == ["idle", "idle"],
            lambda: (folder / "slurmctld.log").read_text()[-3000:],
        )
        yield made
    finally:
        subprocess.run(["scancel", "--user=root"], env=made.environment, check=False)
        for process in reversed(made.processes.values()):
            process.terminate()
        for process in made.processes.values():
            try:
                process.wait(timeout=60)
            except subprocess.TimeoutExpired:  # slurmd waits for the steps of a cancelled job
                process.kill()
                process.wait()


@pytest.fixture(scope="module")
def login(slurm: Cluster, project_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Laptop:
    folder = tmp_path_factory.mktemp("login")
    made = Laptop(folder / "clone", project_root)
    made.remote(str(folder / "store"))
    cluster = folder / "cluster.yaml"
    cluster.write_text(
        f"address: 'slurm:'\nruns: {folder / 'shared'}\nslurm: [--time=30, --cpus-per-task=2]\n"
        "environment: {REPO_CHECKPOINT_SECONDS: '1', REPO_GRACE_SECONDS: '60'}\n"
    )
    made.environment = {"SLURM_CONF": str(slurm.conf), "REPO_CLUSTER": str(cluster)}
    return made


def logs(login: Laptop) -> str:
    return login.pipeline("logs").stdout


def number(login: Laptop) -> str:
    """Slurm's number of the job that was sent last."""
    return login.run("squeue", "--noheader", "--format=%A", "--sort=-i").stdout.split()[0]


def of_the_jobs(login: Laptop) -> list[psutil.Process]:
    shared = str(login.folder.parent / "shared")
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("RP_RECORD", "").startswith(shared):
                found.append(process)
        except psutil.Error:
            continue
    return found


def test_there_and_back(login: Laptop) -> None:
    done = login.pipeline("submit", "--slurm", "corpus", *SHORT, "--wait")
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr
    assert "submitted" in done.stdout and "slurm:" in done.stdout
    status = login.pipeline("status").stdout
    assert "SUCCEEDED" in status and re.search(r"corpus +completed", status)
    assert "[slurm] job" in logs(login)
    again = login.pipeline("submit", "--slurm", "corpus", *SHORT)
    assert "attached" in again.stdout and "nothing is left to do" in again.stdout
    fetched = login.pipeline("fetch")
    assert fetched.returncode == 0, fetched.stderr
    assert "corpus" in (login.folder / "dvc.lock").read_text()


def test_sbatchs_own_word_is_the_error(login: Laptop) -> None:
    done = login.pipeline("submit", "--slurm", "--sbatch=--partition=none", "tokenizer", *SHORT)
    assert done.returncode == 2 and "partition" in done.stderr.lower()
    lines = done.stderr.strip().splitlines()
    assert len([line for line in lines if "to fit what was set" not in line]) == 1, lines


def test_the_time_limit_saves_queues_again_and_the_losses_are_the_same(
    login: Laptop, project_root: Path
) -> None:
    sent = login.pipeline("submit", "--slurm", *LONG)
    assert sent.returncode == 0, sent.stdout[-4000:] + sent.stderr
    trained(login)
    assert "RUNNING" in status(login)
    # What Slurm itself sends before the limit (--signal=B:USR1@...), without the wait for it.
    login.run("scancel", "--batch", "--signal=USR1", number(login))
    again(login)
    until(lambda: "SUCCEEDED" in status(login), lambda: logs(login)[-4000:])
    fetched = login.pipeline("fetch", "--force")  # the first test's lock is there, not committed
    assert fetched.returncode == 0, fetched.stderr

    # The same once more, uninterrupted and in place, as docs/clusters/slurm.md has it.
    other = Laptop(login.folder.parent / "in-place", project_root)
    other.remote(str(login.folder.parent / "store-of-the-other"))
    other.environment = {**login.environment, "REPO_RUNS": str(other.folder / "runs")}
    other.run("repo-pipeline", "use", "smoke", "--set", "variants=[repo]", "--set", LONG[-1])
    other.run(
        *("sbatch", "--wait", "--time=60", "--cpus-per-task=2", f"--output={other.folder / 'log'}"),
        *("infra/slurm/repo-pipeline.sbatch", "repo-pipeline", "run", "train"),
    )
    assert trained_as(other) == trained_as(login)


def test_cancel_saves_and_leaves_nothing(login: Laptop) -> None:
    sent = login.pipeline("submit", "--slurm", *LONGER)
    assert sent.returncode == 0, sent.stdout[-4000:] + sent.stderr
    trained(login)
    began = time.monotonic()
    cancelled = login.pipeline("cancel")
    assert cancelled.returncode == 0 and "stopped" in cancelled.stdout, cancelled.stderr
    until(lambda: not of_the_jobs(login), lambda: str(of_the_jobs(login)))
    print(f"cancelled in {time.monotonic() - began:.1f} s")
    assert "STOPPED" in status(login)


def test_a_lost_node_queues_the_job_again(slurm: Cluster, login: Laptop) -> None:
    """The run above goes on, on two nodes; one goes, both come back."""
    words = ("submit", "--slurm", "--sbatch=--nodes=2", *LONGER)
    sent = login.pipeline(*words)
    assert sent.returncode == 0, sent.stdout[-4000:] + sent.stderr
    until(lambda: "Ray on 2 nodes" in logs(login), lambda: logs(login)[-4000:])
    until(lambda: "resumed at step" in logs(login), lambda: logs(login)[-4000:])
    slurm.lose("n2")
    until(lambda: "down" in "".join(slurm.states()), lambda: str(slurm.states()))
    slurm.start("n2")
    again(login)
    login.pipeline("cancel")
    until(lambda: not of_the_jobs(login), lambda: str(of_the_jobs(login)))


def status(login: Laptop) -> str:
    """Of the job that was sent last."""
    rows = login.pipeline("status").stdout.splitlines()
    return next(row for row in rows if row.startswith("*"))


def trained(login: Laptop) -> None:
    """Wait until the job that was sent last has a checkpoint."""
    shared = login.folder.parent / "shared"
    steps = "train/*/checkpoints/step-*/COMPLETE"
    before = set(shared.glob(steps))
    until(lambda: set(shared.glob(steps)) - before, lambda: logs(login)[-4000:])


def again(login: Laptop) -> None:
    """Wait until the job waits once more, let it start, and wait until it went on."""
    job = number(login)

    def state() -> str:
        return login.run("squeue", "--noheader", "--format=%T", f"--job={job}").stdout

    until(lambda: "PENDING" in state(), lambda: state() + logs(login)[-4000:])
    assert "PENDING" in status(login)
    login.run("scontrol", "update", f"JobId={job}", "StartTime=now")  # it would wait two minutes
    until(lambda: re.search(r"start 2(?s:.*)resum", logs(login)), lambda: logs(login)[-4000:])


def trained_as(laptop: Laptop) -> dict[str, str]:
    """DVC's hashes of the trained model and of the loss of every step."""
    from ruamel.yaml import YAML

    lock = YAML(typ="safe").load((laptop.folder / "dvc.lock").read_text())
    return {out["path"]: out["md5"] for out in lock["stages"]["train@repo-42"]["outs"]}


def test_a_waiting_job_leaves_the_queue(login: Laptop) -> None:
    sent = subprocess.Popen(
        login.command("submit", "--slurm", "--sbatch=--begin=now+1hour", "tokenizer", *SHORT),
        cwd=login.folder, env=login.env(), stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert sent.stdout is not None and "submitted" in sent.stdout.readline()
    cancelled = login.pipeline("cancel")
    assert "stopped" in cancelled.stdout, cancelled.stdout + cancelled.stderr
    assert sent.wait(timeout=DEADLINE_S) == 75
