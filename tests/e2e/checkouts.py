"""Checkouts of this project in folders of their own, and commands in them."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

COPIED = (
    *("dvc.yaml", "params.yaml", "prefect.yaml", "constraints.txt", ".dvcignore", ".gitignore"),
    *("stages", "pipeline", "repo_model"),
)
Run = subprocess.CompletedProcess[str]


class Project:
    """A checkout in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, *command: str, **variables: str) -> Run:
        return subprocess.run(
            self.command(*command),
            cwd=self.folder,
            env=self.environment(**variables),
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            check=False,
        )

    def command(self, program: str, *arguments: str) -> list[str]:
        """The command with the program of this environment."""
        return [str(Path(sys.executable).parent / program), *arguments]

    def environment(self, **variables: str) -> dict[str, str]:
        """Variables of a process that works here and knows nothing of the tests' own run."""
        left_out = ("REPO_", "RAY_", "PREFECT", "CI")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(left_out)}
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        return {**kept, "PATH": path, "PYTHONPATH": str(self.folder), **variables}

    def set(self, old: str, new: str) -> None:
        params = self.folder / "params.yaml"
        assert old in params.read_text()
        params.write_text(params.read_text().replace(old, new, 1))

    def models(self) -> dict[str, int]:
        found = self.folder.glob("models/*/*.safetensors")
        return {str(path): path.stat().st_mtime_ns for path in found}


def checkout(root: Path, folder: Path) -> Project:
    """A git repository with one commit of ``root``'s tracked code, and DVC's settings."""
    folder.mkdir(parents=True)
    for name in COPIED:
        if (root / name).is_dir():
            shutil.copytree(root / name, folder / name)  # with bytecode: nothing is compiled again
        else:
            shutil.copy(root / name, folder / name)
    (folder / ".dvc").mkdir()
    for name in ("config", ".gitignore"):
        shutil.copy(root / ".dvc" / name, folder / ".dvc" / name)
    for command in (
        ("init", "-q"),
        ("config", "user.name", "test"),
        ("config", "user.email", "test@example.org"),
        ("add", "-A"),
        ("commit", "-qm", "checkout"),
    ):
        subprocess.run(["git", *command], cwd=folder, check=True)
    return Project(folder)
