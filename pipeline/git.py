"""git, the same whoever runs it: our own settings win over the user's, names come apart at NUL.

Settings given with ``-c`` win over every file. The variables that point git at another repository,
as in a hook, are taken away. The owner of the folder is not asked for: the code in it is run anyway.
"""

import os
import re
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from stages.common.errors import UserError

_SETTINGS = {
    "safe.directory": "*",
    "core.autocrlf": "input",  # the package is read on Linux
    "core.eol": "lf",
    "core.fsmonitor": "false",
    "core.hooksPath": os.devnull,
    "core.pager": "cat",
    "core.quotePath": "false",
    "core.untrackedCache": "false",
    "color.ui": "false",
    "gc.auto": "0",
    "maintenance.auto": "false",
    "status.showUntrackedFiles": "all",
    "submodule.recurse": "false",
    "advice.detachedHead": "false",
}
_FOREIGN = re.compile(
    "GIT_(DIR|WORK_TREE|INDEX_FILE|PREFIX|COMMON_DIR|NAMESPACE|CEILING_DIRECTORIES|.*DIFF.*|.*PAGER"
    "|.*OBJECT_DIRECTOR.*|.*_PATHSPECS|TRACE.*)"
)


class GitError(RuntimeError):
    """git did not do it; the text is its last line."""


def git_bytes(folder: Path, *arguments: str, **variables: str) -> bytes:
    """Output of a git command in ``folder``. Raises ``GitError``, or ``UserError`` without git."""
    environment = {k: v for k, v in os.environ.items() if not _FOREIGN.fullmatch(k)}
    settings = [part for name, value in _SETTINGS.items() for part in ("-c", f"{name}={value}")]
    try:
        done = subprocess.run(
            ["git", *settings, *arguments],
            cwd=folder,
            env={**environment, "LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0", **variables},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
    except FileNotFoundError:
        raise UserError("git: not found; install it") from None
    if done.returncode:
        lines = done.stderr.decode(errors="replace").strip().splitlines() or ["no message"]
        # git ends some complaints with advice; the first line says what is wrong.
        raise GitError(next((x for x in lines if x.startswith("fatal: ")), lines[0]))
    return done.stdout


def git(folder: Path, *arguments: str, **variables: str) -> str:
    """``git_bytes`` as text; bytes that are no UTF-8 come through as Python keeps them in names."""
    return git_bytes(folder, *arguments, **variables).decode(errors="surrogateescape").strip("\n")


def ask(folder: Path, *arguments: str) -> str:
    """``git``, or nothing where git says no."""
    try:
        return git(folder, *arguments)
    except GitError:
        return ""


def head(folder: Path) -> str:
    """The commit of ``folder``; nothing where there is none."""
    return ask(folder, "rev-parse", "--verify", "--quiet", "HEAD^{commit}")


def prefix(folder: Path) -> str:
    """Path of ``folder`` from the top of its repository: empty, or with a slash at its end."""
    return ask(folder, "rev-parse", "--show-prefix")


def changed(folder: Path, *names: str, ignored: bool = False) -> list[str]:
    """Files below ``folder`` that differ from the commit or are new, relative to ``folder``."""
    options = ["--ignored"] if ignored else []
    output = git(
        folder, "status", "--porcelain=v1", "-z", "--no-renames", *options, "--", *(names or (".",))
    )
    skip = 3 + len(prefix(folder))
    return [entry[skip:] for entry in output.split("\0") if entry]


def tree(folder: Path, without: Sequence[str] = (), new: bool = True) -> str:
    """A git tree of the whole repository with ``folder`` as it is now; the user's index stays.

    ``without``: names in ``folder`` that stay as in the commit. ``new``: whether files come along that
    git does not know and does not ignore.
    """
    with tempfile.TemporaryDirectory() as temporary:
        index = {"GIT_INDEX_FILE": str(Path(temporary) / "index")}
        git(folder, "read-tree", "HEAD", **index)
        left = [f":(exclude,literal){name}" for name in without]
        git(folder, "add", "--all" if new else "--update", "--", ".", *left, **index)
        return git(folder, "write-tree", **index)
