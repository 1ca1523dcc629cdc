"""Disks, rights and clocks as they come: a graph is run there, and is up to date afterwards."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stages.common.errors import UserError
from tests.pipeline.conftest import Shell, project, shell, template

__all__ = ["project", "shell", "template"]  # fixtures
ROOT = Path(__file__).parents[2]
RUN = """
import os, sys
from pathlib import Path
from pipeline.environment import prepare
from pipeline.graph import read_graph
from pipeline.plan import plan
from pipeline.process import child_environment, run_stage
from stages.common.errors import UserError
from stages.common.runs import root
def decided():
    graph = read_graph(Path.cwd())
    return {name: one.action for name, one in plan(graph, list(graph.stages)).items()}
try:
    prepare(Path.cwd())
    for name in decided():
        ended = run_stage(Path.cwd(), name, child_environment(), root() / "logs" / name, str)
        if ended.code:
            sys.exit(f"{name}: {ended.line}")
except UserError as error:
    sys.exit(f"refused: {error}")
print(set(decided().values()))
"""


def _as_it_is(project: Path) -> tuple[Path, dict[str, str]]:
    return project, {}


def _link(project: Path) -> tuple[Path, dict[str, str]]:
    (project.parent / "link").symlink_to(project, target_is_directory=True)
    return project.parent / "link", {}


def _long(project: Path) -> tuple[Path, dict[str, str]]:
    folder = project.parent
    for letter in "abcdefgh":
        folder /= letter * 200
    folder.mkdir(parents=True)
    return Path(shutil.move(str(project), folder / "project")), {}


def _future(project: Path) -> tuple[Path, dict[str, str]]:
    later = time.time() + 10 * 365 * 86_400
    for file in [project, *project.rglob("*")]:
        os.utime(file, (later, later), follow_symlinks=False)
    return project, {}


def _no_home(project: Path) -> tuple[Path, dict[str, str]]:
    return project, {"HOME": "/proc/nowhere"}


def _read_only_home(project: Path) -> tuple[Path, dict[str, str]]:
    return project, {"HOME": "/proc/self", "XDG_CACHE_HOME": ""}


def _runs_is_a_file(project: Path) -> tuple[Path, dict[str, str]]:
    (project.parent / "runs").write_text("")
    return project, {"REPO_RUNS": str(project.parent / "runs")}


PLACES: dict[str, Callable[[Path], tuple[Path, dict[str, str]]]] = {
    "link": _link,
    "2,000 letters": _long,
    "mtimes in the future": _future,
    "no home": _no_home,
    "home that cannot be written": _read_only_home,
    "REPO_RUNS is a file": _runs_is_a_file,
}


def run(
    folder: Path, variables: dict[str, str], before: str = ""
) -> subprocess.CompletedProcess[str]:
    """The graph in ``folder``, by a shell that ``before`` has prepared."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PREFECT", "REPO_"))}
    return subprocess.run(
        ["bash", "-c", f'{before} exec {sys.executable} -c "$0"', RUN],
        cwd=folder,
        env={**environment, "PYTHONPATH": str(ROOT), "PWD": str(folder), **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("place", PLACES)
def test_a_graph_is_run_and_up_to_date(project: Path, place: str) -> None:
    folder, variables = PLACES[place](project)
    done = run(folder, variables)
    assert (done.returncode, done.stdout) == (0, "{'fresh'}\n"), done.stderr[-2000:]


@pytest.mark.parametrize("mask", ["077", "000"])
def test_a_mask_of_rights_opens_no_secret_and_shuts_nobody_out(project: Path, mask: str) -> None:
    done = run(project, {}, f"umask {mask};")
    assert (done.returncode, done.stdout) == (0, "{'fresh'}\n"), done.stderr[-2000:]
    assert (project / ".prefect").stat().st_mode & 0o077 == 0


@pytest.fixture
def memory() -> Iterator[Path]:
    """A folder on another file system than the project."""
    if not os.access("/dev/shm", os.W_OK):
        pytest.skip("no /dev/shm here")
    with tempfile.TemporaryDirectory(dir="/dev/shm") as name:
        yield Path(name)


def test_runs_on_another_file_system(project: Path, memory: Path) -> None:
    done = run(project, {"REPO_RUNS": str(memory / "runs")})
    assert (done.returncode, done.stdout) == (0, "{'fresh'}\n"), done.stderr[-2000:]
    assert (memory / "runs" / "finished").is_dir()


@pytest.fixture
def small(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A tmpfs of its own, made with the options that the test names."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", request.param, "x", str(folder)]
    if os.getuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting takes root, and a container that may")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


FULL_DISKS = pytest.mark.parametrize("small", ["size=4k", "nr_inodes=3"], indirect=True)


@FULL_DISKS
def test_runs_on_a_full_disk(project: Path, small: Path) -> None:
    """What is kept there is of no need for a stage that is not resumed."""
    done = run(project, {"REPO_RUNS": str(small / "runs")})
    assert (done.returncode, done.stdout) == (0, "{'fresh'}\n"), done.stderr[-2000:]
    assert not [file for file in small.rglob("*") if file.suffix == ".part"]


@pytest.mark.parametrize("small", ["size=32k", "size=12k"], indirect=True)
def test_a_worktree_that_has_no_room_is_one_line_and_leaves_nothing(
    project: Path, shell: Shell, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipeline import checkout as module

    (project / "large").write_bytes(os.urandom(40_000))
    for command in (("config", "user.name", "t"), ("config", "user.email", "t@t"), ("add", "-A")):
        shell(project, "git", *command)
    shell(project, "git", "commit", "-qm", "all")
    monkeypatch.setenv("REPO_RUNS", str(small / "runs"))
    monkeypatch.setattr(module, "compose", lambda *given: "one: 7\n")
    with pytest.raises(UserError, match=r"REPO_RUNS is .*no space left") as raised:
        module.checkout(project, None, ["one=7"])
    assert len(str(raised.value).splitlines()) == 1
    assert not [path for path in (small / "runs" / "worktrees").iterdir() if path.is_dir()]
    assert len(shell(project, "git", "worktree", "list").stdout.splitlines()) == 1
