"""Every command in the `sh` blocks of README and docs, in a fresh checkout; a new one needs a word."""

import re
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from tests.e2e.checkouts import Project, checkout
from tests.e2e.conftest import start_serving
from tests.e2e.own_model import bring

pytestmark = [pytest.mark.stress, pytest.mark.slow, pytest.mark.e2e]
PAGES = ("README.md", "docs/guide.md", "docs/tutorial.md", "docs/lock.md")
ELSEWHERE = {
    "repo-pipeline report --compare . ../other-run": "needs a second run: test_compare.py",
    "dvc remote add -d store /mnt/shared/dvc": "the fixture adds one of this machine",
    "git add dvc.lock params.yaml .dvc/config": "would commit in the test's checkout",
    'git commit -m "The run of June"': "would commit in the test's checkout",
    "git add .gitignore my-model.dvc my.jsonl.dvc": "would commit in the test's checkout",
    'git commit -m "My model and documents"': "would commit in the test's checkout",
    "make test": "is what runs this",
    "repo-pipeline submit --profile olmo2-1b --address https://head:8265": "needs a cluster",
    "repo-pipeline submit --profile olmo2-1b --slurm --sbatch=--partition=gpu": "test_slurm.py",
    "repo-pipeline serve": "runs below, beside the command that needs it",
}
"""Commands that are not run one by one, and why."""


def commands(readme: Path) -> list[str]:
    """The lines of all ``sh`` blocks without their comments, alternatives one by one."""
    blocks = re.findall(r"```sh\n(.*?)```", readme.read_text(encoding="utf-8"), flags=re.DOTALL)
    lines = [line.partition("#")[0].strip() for block in blocks for line in block.splitlines()]
    return [part.strip() for line in lines if line for part in line.split(" / ")]


@pytest.fixture(scope="module")
def project(project_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A checkout whose params are the profile smoke: the same commands in less time."""
    made = checkout(project_root, tmp_path_factory.mktemp("readme") / "project")
    for name in ("README.md", "LICENSE", "NOTICE", "Makefile", "pyproject.toml"):
        (made.folder / name).write_bytes((project_root / name).read_bytes())
    shutil.copytree(project_root / "examples", made.folder / "examples")
    assert made("repo-pipeline", "use", "smoke").returncode == 0
    bring(made.folder)
    assert (
        made("dvc", "remote", "add", "-d", "here", str(made.folder.parent / "remote")).returncode
        == 0
    )
    return made


def test_every_command(project: Project, project_root: Path) -> None:
    pages = [project_root / name for name in PAGES]
    given = list(dict.fromkeys(command for page in pages for command in commands(page)))
    assert "make run" in given
    served = None
    try:
        for command in given:
            if command in ELSEWHERE:
                continue
            if command.startswith("prefect deployment"):
                served = start_serving(project, 4200, project.folder.parent / "serve.log")
            done = subprocess.run(
                command,
                shell=True,
                cwd=project.folder,
                env=project.environment(),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
            )
            # gc has nobody to ask here and says so with 2
            wanted = (0, 2) if command == "repo-pipeline gc" else (0,)
            assert done.returncode in wanted, (
                f"{command}\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
            )
    finally:
        if served is not None:
            served.send_signal(signal.SIGTERM)
            served.wait(timeout=60)
