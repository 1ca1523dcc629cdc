"""The commit that this code is of."""

import subprocess
from pathlib import Path

_HERE = Path(__file__).parents[2]


def commit() -> str:
    """The checkout's commit, and whether files differ from it (dvc.lock does not count)."""
    head = _git("rev-parse", "HEAD")
    if not head:
        return "unknown: not a git checkout"
    changed = _git("status", "--porcelain", "--untracked-files=no", "--", ".", ":!dvc.lock")
    return f"{head} with uncommitted changes" if changed else head


def _git(*arguments: str) -> str:
    command = ["git", "--no-optional-locks", "-C", str(_HERE), *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""
