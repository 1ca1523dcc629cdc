"""The wheel holds the library alone; its command says how to get the pipeline."""

import subprocess
import sys
import venv
from pathlib import Path
from zipfile import ZipFile

import pytest


@pytest.fixture(scope="module")
def wheel(project_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy: setuptools leaves folders of its own beside the sources."""
    folder = tmp_path_factory.mktemp("wheel")
    copy = folder / "copy"
    names = subprocess.run(
        ["git", "ls-files", "-z"], cwd=project_root, capture_output=True, check=True
    ).stdout.split(b"\0")
    for name in (Path(raw.decode()) for raw in names if raw):
        if name.parts[0] in ("tests", "docs", "benchmarks") or not (project_root / name).is_file():
            continue
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        (copy / name).write_bytes((project_root / name).read_bytes())
    build = "from setuptools.build_meta import build_wheel; build_wheel('..')"
    subprocess.run([sys.executable, "-c", build], cwd=copy, check=True, capture_output=True)
    (found,) = folder.glob("*.whl")
    return found


def test_its_one_top_level_package_is_the_library(wheel: Path) -> None:
    names = ZipFile(wheel).namelist()
    tops = {name.partition("/")[0] for name in names}
    assert {top for top in tops if not top.endswith((".dist-info", ".data"))} == {"repo_model"}
    scripts = [name for name in names if ".data/" in name]
    assert [name.partition(".data/")[2] for name in scripts] == ["scripts/repo-pipeline"]
    assert "repo_model/modeling_repo.py" in names


def test_its_command_ends_with_one_line(wheel: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / "empty", with_pip=False)
    python = tmp_path / "empty/bin/python"
    (site,) = (tmp_path / "empty").glob("lib/python*/site-packages")
    ZipFile(wheel).extractall(site)
    (script,) = tmp_path.glob("empty/lib/python*/site-packages/*.data/scripts/repo-pipeline")
    told = subprocess.run(
        [python, "-I", script], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert told.returncode == 2
    (line,) = told.stderr.splitlines()
    assert "the library repo_model alone" in line
    assert "git clone" in line
