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

from tests.pipeline.conftest import project, shell, template

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


@pytest.mark.skipif(os.getuid() != 0, reason="mounting takes root")
@pytest.mark.parametrize("kind", ["full", "no inodes"])
def test_runs_on_a_full_disk(project: Path, tmp_path: Path, kind: str) -> None:
    """What is kept there is of no need for a stage that is not resumed."""
    small = tmp_path / "small"
    small.mkdir()
    option = "size=4k" if kind == "full" else "nr_inodes=3"
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", option, "x", str(small)], check=False
    ).returncode:
        pytest.skip("this container may not mount")
    try:
        done = run(project, {"REPO_RUNS": str(small / "runs")})
        assert (done.returncode, done.stdout) == (0, "{'fresh'}\n"), done.stderr[-2000:]
        assert not [file for file in small.rglob("*") if file.suffix == ".part"]
    finally:
        subprocess.run(["umount", str(small)], check=True)
