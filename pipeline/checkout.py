"""Where a run happens: in place, or in a git worktree beside that ends as a DVC experiment.

A worktree shares the DVC cache and ``REPO_RUNS`` with the checkout it was made from, whose files
stay as they are. Its name follows from the commit, the edits and the params, so the same command
goes on in the same worktree.
"""

import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from pipeline.overrides import compose
from pipeline.process import child_environment
from pipeline.use import PARAMS
from stages.common.errors import UserError
from stages.common.runs import root as runs_root

LOCK = "dvc.lock"


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
    head = _git(main, "rev-parse", "--verify", "--quiet", "HEAD").strip()
    if not head:
        raise UserError(
            f"{main}: no git commit here; --profile and --set run in a git worktree, "
            "so commit first, or use `repo-pipeline use` and run in place"
        )
    edits = _git(main, "diff", "--binary", "HEAD", "--", ".", f":!{PARAMS}", f":!{LOCK}")
    identity = hashlib.sha256("\0".join((head, edits, params)).encode()).hexdigest()[:8]
    name = f"{profile or 'set'}-{identity}"
    folder = runs_root() / "worktrees" / name
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_name(f".{name}.lock")):
        ready = folder.with_name(f".{name}.ready")
        if not (ready.is_file() and folder.is_dir()):
            ready.unlink(missing_ok=True)
            remove_worktree(main, folder)
            _make(main, folder, edits, params)
            ready.touch()
    return Checkout(folder, name)


def link_inputs(inputs: Iterable[Path], main: Path, here: Checkout) -> None:
    """Give a worktree those inputs that git does not track: links to the main checkout's."""
    if here.experiment is None:
        return
    for path in inputs:
        source, target = main / path, here.root / path
        if not target.exists() and source.exists() and not path.is_absolute():
            target.parent.mkdir(parents=True, exist_ok=True)
            target.unlink(missing_ok=True)
            target.symlink_to(source.resolve(), target_is_directory=source.is_dir())


def save_experiment(here: Checkout, stages: Sequence[str]) -> None:
    """Record what the worktree made as a DVC experiment of the commit it stands on."""
    assert here.experiment is not None
    command = ["dvc", "exp", "save", "--quiet", "--force", "--name", here.experiment, *stages]
    environment = here.environment()
    if not _git(here.root, "config", "user.email").strip():
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
        lines = (done.stderr or done.stdout).strip().splitlines() or ["no message"]
        line = next((line for line in lines if line.startswith("ERROR: ")), lines[-1])
        raise RuntimeError(
            f"the stages are done, but DVC could not save the experiment {here.experiment}: "
            f"{line.removeprefix('ERROR: ')}"
        )


def saved(main: Path, name: str) -> bool:
    """Whether DVC knows an experiment of this name."""
    return bool(_git(main, "for-each-ref", f"refs/exps/*/*/{name}", "--format=%(refname)").strip())


def remove_worktree(main: Path, folder: Path) -> None:
    """Remove a worktree and git's record of it; nothing when there is none."""
    shutil.rmtree(folder, ignore_errors=True)
    _git(main, "worktree", "prune")


def _make(main: Path, folder: Path, edits: str, params: str) -> None:
    made = _git(main, "worktree", "add", "--quiet", "--force", "--detach", str(folder), "HEAD")
    if not (folder / "dvc.yaml").is_file():
        raise UserError(f"{main}: git could not make a worktree at {folder}; {made.strip()}")
    if edits:
        subprocess.run(
            ["git", "apply", "--whitespace=nowarn", "-"],
            cwd=folder,
            input=edits,
            text=True,
            check=True,
        )
    (folder / PARAMS).write_text(params, encoding="utf-8")
    for name in (LOCK, ".dvc/config.local"):
        if (main / name).is_file():
            shutil.copy(main / name, folder / name)
    _share_cache(main, folder)


def _share_cache(main: Path, folder: Path) -> None:
    from dvc.config import Config
    from dvc.repo import Repo

    cache = Repo(str(main)).cache.local_cache_dir
    config = Config(str(folder / ".dvc"), validate=False)
    with config.edit("local") as local:
        local.setdefault("cache", {})["dir"] = cache


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments], cwd=folder, capture_output=True, text=True, check=False
    )
    return done.stdout if done.returncode == 0 else ""
