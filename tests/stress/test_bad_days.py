"""Full disks, read-only caches, dead servers, SIGTERM: one line, nothing lost, and it goes on.

Deselected by default: ``pytest -m stress``. Mounts need root.
"""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil
import pytest

from stages.common.files import sha256
from tests.e2e.checkouts import Project, checkout

pytestmark = [pytest.mark.stress, pytest.mark.slow, pytest.mark.e2e]
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")


@pytest.fixture(scope="module")
def project(project_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The smoke profile after one whole run."""
    made = checkout(project_root, tmp_path_factory.mktemp("bad") / "project")
    assert made("repo-pipeline", "use", "smoke").returncode == 0
    done = made("repo-pipeline", "run")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    return made


@contextmanager
def mounted(folder: Path, *options: str) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(["mount", *options, str(folder)], capture_output=True, check=False)
    if done.returncode:
        pytest.skip(f"cannot mount here: {done.stderr.decode().strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def family(project: Project) -> list[psutil.Process]:
    """Processes that work in the project."""
    found = []
    for process in psutil.process_iter(["cwd"]):
        if (process.info["cwd"] or "").startswith(str(project.folder)):
            found.append(process)
    return found


def one_line(stderr: str) -> str:
    lines = stderr.strip().splitlines()
    assert len(lines) == 1, stderr
    return lines[0]


def contents(project: Project) -> dict[str, str]:
    """Hashes: DVC copies a hard link before its stage runs, so that times say nothing."""
    return {path: sha256(Path(path)) for path in project.models()}


def goes_on(project: Project, before: dict[str, str]) -> None:
    """Nothing was damaged by the bad day, and a run now ends well with the same models."""
    for path in before:
        assert Path(path).is_file()
    done = project("repo-pipeline", "run")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    assert project("dvc", "status").stdout.strip().endswith("up to date.")


@needs_root
def test_runs_that_fill_up_during_training(project: Project, tmp_path: Path) -> None:
    before = contents(project)
    small = tmp_path / "small"
    with mounted(small, "-t", "tmpfs", "-o", "size=1m", "tmpfs"):
        done = project("repo-pipeline", "run", "train", "--force", REPO_RUNS=str(small))
    assert done.returncode in (1, 2, 75)
    line = one_line(done.stderr)
    assert "train@" in line
    assert "No space left on device" in line
    assert contents(project) == before
    goes_on(project, before)


@contextmanager
def read_only_cache(project: Project) -> Iterator[None]:
    cache = project.folder / ".dvc" / "cache"
    with mounted(cache, "--bind", str(cache)):
        subprocess.run(["mount", "-o", "remount,ro,bind", str(cache)], check=True)
        yield


@needs_root
def test_a_cache_that_is_read_only(project: Project) -> None:
    before = contents(project)
    with read_only_cache(project):
        done = project("repo-pipeline", "run", "extend", "--force")
    assert done.returncode == 2, done.stdout
    assert "DVC's cache" in one_line(done.stderr)
    assert "Read-only file system" in done.stderr
    assert contents(project) == before
    goes_on(project, before)


@needs_root
def test_a_cache_that_becomes_read_only_during_a_run(project: Project) -> None:
    before = contents(project)
    project.set("scope: rope_and_repo", "scope: rope")
    with ExitStack() as later:
        code, stderr = interrupted(
            project,
            lambda run: later.enter_context(read_only_cache(project)),
            *("extend", "stages.extend"),
        )
    assert code == 1
    line = one_line(stderr)
    assert "Read-only file system" in line
    # DVC fails where it must make a folder; else it ends well, and the fix that is told is needed.
    while "here, but not in DVC's cache" in (said := project("repo-pipeline", "run").stderr):
        command = said.split("`")[1].split()
        assert project(*command).returncode == 0
    goes_on(project, before)
    project.set("scope: rope", "scope: rope_and_repo")
    goes_on(project, before)


def interrupted(
    project: Project,
    act: Callable[[psutil.Process], object],
    target: str = "train",
    sign: str = "stages.train",
) -> tuple[int, str]:
    """Start a forced stage, act once a process shows the sign, and return how the run ended."""
    process = subprocess.Popen(
        project.command("repo-pipeline", "run", target, "--force"),
        cwd=project.folder,
        env=project.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    until = time.monotonic() + 120
    while not any(sign in " ".join(p.cmdline()) for p in alive(project)):
        assert time.monotonic() < until and process.poll() is None
        time.sleep(0.1)
    act(psutil.Process(process.pid))
    _, stderr = process.communicate(timeout=300)
    return process.returncode, stderr


def alive(project: Project) -> list[psutil.Process]:
    return [p for p in family(project) if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]


@pytest.mark.parametrize("to", ["itself", "its group", "both"])
def test_sigterm(project: Project, to: str) -> None:
    """As a person, a scheduler or an init, and GNU timeout send it."""
    before = contents(project)
    began: list[float] = []

    def act(run: psutil.Process) -> None:
        began.append(time.monotonic())
        if to != "its group":
            run.send_signal(signal.SIGTERM)
        if to != "itself":
            os.killpg(run.pid, signal.SIGTERM)

    code, stderr = interrupted(project, act)
    assert code == 75
    assert one_line(stderr) == "repo-pipeline: stopped; run again to go on from here"
    assert not alive(project)
    print(f"stopped within {time.monotonic() - began[0]:.1f} s")
    goes_on(project, before)


def test_the_run_s_own_prefect_server_dies(project: Project) -> None:
    before = contents(project)

    def act(run: psutil.Process) -> None:
        (server,) = [p for p in run.children() if "server" in p.cmdline()]
        server.kill()

    code, stderr = interrupted(project, act)
    assert code == 0, stderr  # it was started again, and the run with it
    assert not alive(project)
    goes_on(project, before)


def test_kill_9_of_the_conductor_alone(project: Project) -> None:
    before = contents(project)
    code, _ = interrupted(project, lambda run: run.kill())
    assert code == -9
    until = time.monotonic() + 20
    while alive(project) and time.monotonic() < until:
        time.sleep(0.3)
    assert not alive(project)
    goes_on(project, before)


def test_two_runs_at_once_and_one_in_a_worktree_beside(project: Project) -> None:
    shutil.rmtree(project.folder / "runs", ignore_errors=True)
    commands = [
        ["run", "extend", "--force"],
        ["run", "extend", "--force"],
        ["run", "extend", "--profile", "smoke", "--set", "train.tokens=20480"],
    ]
    runs = [
        subprocess.Popen(
            project.command("repo-pipeline", *command),
            cwd=project.folder,
            env=project.environment(REPO_CPUS="2"),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for command in commands
    ]
    outputs = [run.communicate(timeout=900)[0] for run in runs]
    for run, output in zip(runs, outputs, strict=True):
        assert run.returncode == 0, output[-3000:]
    assert "experiment smoke-" in outputs[2]
    goes_on(project, contents(project))
