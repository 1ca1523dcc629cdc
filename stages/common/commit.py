"""The commit that this code is of."""

import subprocess
from pathlib import Path

HERE = Path(__file__).parents[2]


def commit(folder: Path = HERE) -> str:
    """The commit of the checkout at ``folder``, by default this code's own.

    It says so where files differ from it; dvc.lock does not count.
    """
    head = _git(folder, "rev-parse", "HEAD")
    if not head:
        return "unknown: not a git checkout"
    changed = _git(folder, "status", "--porcelain", "--untracked-files=no", "--", ".", ":!dvc.lock")
    return f"{head} with uncommitted changes" if changed else head


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "--no-optional-locks", "-C", str(folder), *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""
