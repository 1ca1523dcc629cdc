"""A small project of its own: real DVC, stages that take no time."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

DVC_YAML = """
# Each stands for one that `python -m stages.NAME` runs.
stages:
  one:
    cmd: python one.py
    params: [one]
    outs: [out/one: {persist: true}]
  two:
    matrix: {kind: "${kinds}"}
    cmd: python two.py ${item.kind}
    deps: [out/one]
    params: [two]
    outs: ["out/two-${item.kind}": {persist: true}]
  three:
    cmd: python three.py
    deps: [out]
    outs: [final: {persist: true}]
"""
SCRIPTS = {
    "one.py": "open('out/one', 'w').write(open('params.yaml').read().split('one: ')[1].split()[0])",
    "two.py": "import sys; open(f'out/two-{sys.argv[1]}', 'w').write(open('out/one').read())",
    "three.py": "open('final', 'w').write(open('out/two-a').read())",
}
Shell = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch) -> Shell:
    """Run a command of this environment in a folder."""
    binaries = str(Path(sys.executable).parent)
    monkeypatch.setenv("PATH", binaries, prepend=":")
    monkeypatch.setenv("DVC_NO_ANALYTICS", "1")

    def run(folder: Path, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done

    return run


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small project, made once."""
    folder = tmp_path_factory.mktemp("template") / "project"
    (folder / "out").mkdir(parents=True)
    (folder / "dvc.yaml").write_text(DVC_YAML)
    (folder / "params.yaml").write_text("kinds: [a, b]\none: 1\ntwo: {x: {y: 2}}\n")
    for name, content in SCRIPTS.items():
        (folder / name).write_text(content)
    (folder / ".gitignore").write_text("/out/\n/final\n")
    for command in (
        ("git", "init", "-q"),
        (sys.executable, "-m", "dvc", "init", "-q"),
        (sys.executable, "-m", "dvc", "config", "core.analytics", "false"),
    ):
        subprocess.run(command, cwd=folder, check=True)
    return folder


@pytest.fixture
def project(template: Path, tmp_path: Path, shell: Shell) -> Path:
    """A git and DVC repository with a graph of the same shape as the real one."""
    return Path(shutil.copytree(template, tmp_path / "project", symlinks=True))


def add_remote(root: Path, name: str, url: str, **options: str) -> None:
    """``dvc remote add -d NAME URL``, and ``modify`` for each option, without their starts."""
    from dvc.config import Config  # other Pythons collect this file without DVC

    with Config(str(root / ".dvc")).edit("repo") as settings:
        settings["core"]["remote"] = name
        settings["remote"][name] = {"url": url, **options}


def clone(source: Path, target: Path) -> Path:
    """The tracked part of a project and its dvc.lock, without data or cache."""
    ignore = shutil.ignore_patterns("out", "final", "cache", "tmp")
    shutil.copytree(source, target, ignore=ignore)
    (target / "out").mkdir()
    return target
