"""Where a run happens: in place, or in a git worktree beside that ends as a DVC experiment.

A worktree shares the DVC cache and ``REPO_RUNS`` with the checkout it was made from, whose files
stay as they are. Its name follows from the commit, the edits and the params, so the same command
goes on in the same worktree.
"""

import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from pipeline import git
from pipeline.overrides import compose
from pipeline.process import child_environment, dvc_said
from pipeline.stage_files import stages_in
from pipeline.use import PARAMS
from stages.common.errors import UserError
from stages.common.runs import root as runs_root

LOCK = "dvc.lock"
FULL = 1_000_000
"""Bytes: with less room left, a worktree that could not be made is the disk's fault."""
NEW_CODE = 5_000_000
"""Bytes: a new file or folder that is larger is taken for data and not put into git's objects."""


@dataclass(frozen=True)
class Checkout:
    """A folder in which DVC and the stages run."""

    root: Path
    experiment: str | None = None
    """Name of the DVC experiment that a worktree ends as; none in place."""

    def environment(self) -> dict[str, str]:
        """Variables of a process that works here: its code first, the state where it always is."""
        inherited = child_environment()
        if self.experiment is None:
            return {**inherited, "REPO_RUNS": str(runs_root())}
        path = os.pathsep.join(filter(None, (str(self.root), inherited.get("PYTHONPATH"))))
        return {**inherited, "REPO_RUNS": str(runs_root()), "PYTHONPATH": path}


def checkout(main: Path, profile: str | None, overrides: Sequence[str]) -> Checkout:
    """``main`` itself, or with a profile or overrides a worktree of it that has these params."""
    if profile is None and not overrides:
        return Checkout(main)
    params = compose(main, profile, overrides)
    head = git.head(main)
    if not head:
        raise UserError(
            f"{main}: no git commit here; --profile and --set run in a git worktree, "
            "so commit first, or use `repo-pipeline use` and run in place"
        )
    try:
        linked = _new_data(main, params)
        tree = git.tree(main, (PARAMS, LOCK, *linked))
        mother = git.ask(main, "rev-parse", "--show-superproject-working-tree")
    except git.GitError as error:
        raise UserError(f"{main}: git could not read the edits; {error}") from None
    if mother:
        raise UserError(
            f"{main} is a submodule of {mother}: DVC finds no repository in a worktree of one; "
            "clone the project by itself, or edit params.yaml in place of --profile and --set"
        )
    identity = hashlib.sha256("\0".join((head, tree, params, *linked)).encode()).hexdigest()[:8]
    name = f"{profile or 'set'}-{identity}"
    folder = runs_root() / "worktrees" / name
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_name(f".{name}.lock")):
        ready = folder.with_name(f".{name}.ready")
        root = folder / git.prefix(main)
        if not (ready.is_file() and folder.is_dir()):
            ready.unlink(missing_ok=True)
            remove_worktree(main, folder)
            try:
                _make(main, folder, root, tree, params)
                for link in linked:
                    _link(main / link, root / link)
                ready.touch()
            except (UserError, OSError) as error:
                free = shutil.disk_usage(folder.parent).free
                remove_worktree(main, folder)  # of no use, and on a full disk in the way
                if free < FULL:
                    raise UserError(
                        f"REPO_RUNS is {str(runs_root())!r}: no space left for a worktree "
                        f"({free / 1e6:.1f} MB); free some, or name another folder"
                    ) from None
                if isinstance(error, UserError):
                    raise
                raise UserError(f"{error.filename or folder}: {error.strerror}") from None
    return Checkout(root, name)


def _new_data(main: Path, params: str) -> list[str]:
    """Files and folders that git neither knows nor ignores and that are data: a worktree has links.

    Data is what params.yaml or dvc.yaml name as an input, and what is larger than code.
    """
    listed = git.git(main, "ls-files", "--others", "--exclude-standard", "--directory", "-z")
    names = [name.rstrip("/") for name in listed.split("\0") if name]
    stages = (main / "dvc.yaml").read_text(encoding="utf-8")
    inputs = " ".join([params, *re.findall(r"^ *deps:.*(?:\n +- .*)*", stages, re.MULTILINE)])
    words = set(re.split(r"[\s\"',\[\]{}]+", inputs))
    return sorted(name for name in names if name in words or size(main / name) > NEW_CODE)


def size(path: Path) -> int:
    """Bytes of a file, or of all files below a folder."""
    files = path.rglob("*") if path.is_dir() and not path.is_symlink() else [path]
    return sum(file.lstat().st_size for file in files)


def _link(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    target.symlink_to(source.resolve(), target_is_directory=source.is_dir())


def link_inputs(inputs: Iterable[Path], main: Path, here: Checkout) -> None:
    """Give a worktree those inputs that git does not track: links to the main checkout's."""
    if here.experiment is None:
        return
    for path in inputs:
        source, target = main / path, here.root / path
        if not target.exists() and source.exists() and not path.is_absolute():
            _link(source, target)


def save_experiment(here: Checkout, stages: Sequence[str]) -> None:
    """Record what the worktree made as a DVC experiment of the commit it stands on.

    ``stages``: what is recorded; none: all of dvc.yaml, and nothing of what else DVC knows here. For
    each that is named DVC reads and writes dvc.lock once more: the 87 of a run by name took a minute,
    their file takes seconds.
    """
    assert here.experiment is not None
    recorded = stages or ["dvc.yaml"]
    command = ["dvc", "exp", "save", "--force", "--name", here.experiment, *recorded]
    environment = here.environment()
    if not git.ask(here.root, "config", "user.email"):
        # Nobody told git who they are, and DVC's commit of an experiment would fail for it.
        for role in ("AUTHOR", "COMMITTER"):
            environment.setdefault(f"GIT_{role}_NAME", "repo-pipeline")
            environment.setdefault(f"GIT_{role}_EMAIL", "repo-pipeline@localhost")
    program = shutil.which(command[0], path=environment["PATH"])
    done = subprocess.run(
        command,
        executable=program,
        cwd=here.root,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(
            f"the stages are done, but DVC could not save the experiment {here.experiment}: "
            f"{dvc_said(done)}"
        )


def brought(here: Checkout, stages: Iterable[str]) -> str:
    """How the worktree's experiment comes to the main checkout; ``stages``: all of the graph.

    DVC 3.67 brings the outs that were made, then ends with code 255 over those that never were.
    """
    made = stages_in(here.root / LOCK)
    told = f"`dvc exp apply {here.experiment}` brings it here"
    if all(stage in made for stage in stages):
        return told
    return f"{told} (and ends with an error: the outs of stages that did not run are missing)"


def saved(main: Path, name: str) -> bool:
    """Whether DVC knows an experiment of this name."""
    return bool(git.ask(main, "for-each-ref", f"refs/exps/*/*/{name}", "--format=%(refname)"))


def remove_worktree(main: Path, folder: Path) -> None:
    """Remove a worktree and git's record of it; nothing when there is none."""
    shutil.rmtree(folder, ignore_errors=True)
    git.ask(main, "worktree", "prune")


def _make(main: Path, folder: Path, root: Path, tree: str, params: str) -> None:
    try:
        git.git(
            main,
            "worktree",
            "add",
            "--quiet",
            "--force",
            "--no-checkout",
            "--detach",
            str(folder),
            "HEAD",
        )
        git.git(folder, "read-tree", "--reset", "-u", tree)
    except git.GitError as error:
        raise UserError(f"{main}: git could not make a worktree at {folder}; {error}") from None
    if not (root / "dvc.yaml").is_file():
        raise UserError(f"{main}: dvc.yaml is in no commit; commit it first")
    (root / PARAMS).write_text(params, encoding="utf-8")
    for name in (LOCK, ".dvc/config.local"):
        if (main / name).is_file():
            (root / name).parent.mkdir(exist_ok=True)
            shutil.copy(main / name, root / name)
    _share_cache(main, root)


def _share_cache(main: Path, folder: Path) -> None:
    from dvc.config import Config
    from dvc.config_schema import RelPath
    from dvc.repo import Repo

    cache, link = Repo(str(main)).cache.local_cache_dir, folder / ".dvc" / "cache"
    named: str | RelPath = cache
    if not (cache.isascii() and cache.isprintable()):  # DVC 3.67 writes its settings as ASCII
        link.symlink_to(cache, target_is_directory=True)
        named = RelPath(str(link))
    config = Config(str(folder / ".dvc"), validate=False)
    with config.edit("local") as local:
        local.setdefault("cache", {})["dir"] = named
