"""Which code this is: the package's version, and the commit of a checkout."""

import importlib.metadata
from pathlib import Path

from pipeline import git
from stages.common.errors import UserError

ROOT = Path(__file__).parents[1]


def version() -> str:
    """``0.1.0 (commit 862d5e7, changed)``; the version alone where the code is in no checkout."""
    try:
        number = importlib.metadata.version("repo-pipeline")
    except importlib.metadata.PackageNotFoundError:  # a copy on a cluster
        number = "not installed"
    if not (ROOT / ".git").exists():  # the folder may lie in another project's checkout
        return number
    try:
        commit = git.head(ROOT)
        changed = git.ask(ROOT, "status", "--porcelain", "--untracked-files=no")
    except UserError:  # no git
        return number
    return f"{number} (commit {commit[:7]}{', changed' if changed else ''})"
