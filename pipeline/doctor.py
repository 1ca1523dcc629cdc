"""``repo-pipeline doctor``: what is missing or misconfigured on this machine, and the fix of each."""

import importlib.metadata
import os
import re
import shutil
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal, NamedTuple

import psutil

from pipeline import git, project
from pipeline.cache_links import WITHOUT_REFLINK, works
from pipeline.environment import served
from stages.common import variables
from stages.common.errors import UserError
from stages.common.ray_session import TOKEN_FILE, cpus
from stages.common.runs import root as runs_root

GIB = 2**30
DISK, MEMORY, SHARED_MEMORY = 5 * GIB, 4 * GIB, 1 * GIB
"""What the profile ``tiny`` is comfortable with: 3 GB of environment, Ray's object store, one model."""
PINNED = ("torch", "ray", "deepspeed", "transformers", "datasets", "dvc", "prefect", "fastapi")
"""Packages whose version the pipeline was tested with (``constraints.txt``)."""

Verdict = Literal["ok", "note", "wrong"]


class Finding(NamedTuple):
    """One thing that was looked at."""

    verdict: Verdict
    subject: str
    found: str
    fix: str = ""


def examine(root: Path, port: int) -> list[Finding]:
    """Look at everything; a check that fails is a finding itself, never an exception."""
    away = project.elsewhere(root)
    checks: list[tuple[str, Callable[[], Iterator[Finding]]]] = [
        ("Python", _python),
        ("packages", lambda: _packages(root)),
        ("machine", _machine),
        ("space", lambda: _space(root)),
        ("project", lambda: iter([Finding("note", "project", *away)]) if away else _project(root)),
        ("port", lambda: _port(root, port)),
        ("DVC", lambda: iter(()) if away else _dvc(root)),
        ("secrets", lambda: _secrets(root)),
    ]
    found: list[Finding] = []
    for name, check in checks:
        try:
            found += check()
        except Exception as error:
            if os.environ.get("REPO_DEBUG"):
                raise
            line = str(error).strip().partition("\n")[0]
            found.append(Finding("wrong", name, f"{type(error).__name__}: {line}", "see --debug"))
    return found


def _python() -> Iterator[Finding]:
    version = sys.version.split()[0]
    good = sys.version_info >= (3, 11)
    yield Finding("ok" if good else "wrong", "Python", version, "" if good else "use 3.11 or newer")
    for program in ("git", "make"):
        path = shutil.which(program)
        fix = "" if path else f"install {program}"
        yield Finding("ok" if path else "wrong", program, path or "not found", fix)


def _packages(root: Path) -> Iterator[Finding]:
    file = root / "constraints.txt"
    text = file.read_text(encoding="utf-8") if file.is_file() else ""
    tested = dict(re.findall(r"^([A-Za-z0-9_.-]+)==([^\s;#]+)", text, flags=re.MULTILINE))
    for name in PINNED:
        try:
            version = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            fix = "pip install -c constraints.txt -e '.[pipeline]'"
            yield Finding("wrong", name, "not installed", fix)
            continue
        wanted = tested.get(name)
        if wanted in (None, version.partition("+")[0]):
            yield Finding("ok", name, version)
        else:
            yield Finding(
                "note", name, f"{version}, tested with {wanted}", f"pip install {name}=={wanted}"
            )


def _machine() -> Iterator[Finding]:
    free = psutil.virtual_memory().available
    few = "" if free >= MEMORY else f"free {MEMORY // GIB} GiB; fewer REPO_WORKERS need less"
    yield Finding("note" if few else "ok", "memory", f"{free / GIB:.1f} GiB available", few)
    shared = Path("/dev/shm")
    if shared.is_dir():
        room = shutil.disk_usage(shared).free
        small = "" if room >= SHARED_MEMORY else "give the container --shm-size=2g"
        yield Finding("note" if small else "ok", "/dev/shm", f"{room / GIB:.1f} GiB free", small)
    cores = cpus()
    yield Finding(
        "ok" if cores > 1 else "note",
        "cores",
        str(cores),
        "" if cores > 1 else "two are the least to train with two workers: REPO_WORKERS=1",
    )
    import torch

    names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    yield Finding(
        "ok" if names else "note",
        "GPUs",
        ", ".join(names) or "none",
        "" if names else "enough for smoke and tiny; submit the others to a cluster",
    )


def _space(root: Path) -> Iterator[Finding]:
    places = {"REPO_RUNS": runs_root(), "project": root}
    for name, folder in places.items():
        there = next(path for path in (folder, *folder.parents) if path.exists())
        free = shutil.disk_usage(there).free
        if not _writes(there):
            yield Finding("wrong", name, f"{folder} cannot be written", "chmod it or set another")
        else:
            low = "" if free >= DISK else f"free {DISK // GIB} GiB there; `repo-pipeline gc` helps"
            yield Finding(
                "note" if low else "ok", name, f"{folder}, {free / GIB:.0f} GiB free", low
            )


def _project(root: Path) -> Iterator[Finding]:
    from pipeline import check
    from stages.checks import findings
    from stages.params import load

    for name in variables.unknown(os.environ):
        if variables.nearest(name) is None:
            yield Finding("note", name, "no variable of ours", "unset it, or see README's table")
    try:
        params = load(root / "params.yaml")
        yield Finding("ok", "params.yaml", f"profile {params.profile}")
        for one in findings(check.seen_here(params, root), check.needed(root, ())):
            verdict: Verdict = "wrong" if one.level == "refuse" else "note"
            yield Finding(verdict, "params.yaml", f"{one.field}: {one.why}", one.fix)
    except UserError as error:
        yield Finding("wrong", "params.yaml", str(error).splitlines()[0], "edit that line")
    commit = git.head(root)[:12]
    yield Finding(
        "ok" if commit else "note",
        "git commit",
        commit or "none",
        "" if commit else "commit: --profile, --set and submit start from a commit",
    )


def _port(root: Path, port: int) -> Iterator[Finding]:
    import socket

    server = served(root)
    if server:
        yield Finding("ok", "Prefect server", f"{server} (repo-pipeline serve)")
        return
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
            yield Finding("ok", f"port {port}", "free for repo-pipeline serve")
        except OSError as error:
            fix = "repo-pipeline serve --port ANOTHER"
            yield Finding("note", f"port {port}", str(error.strerror), fix)


def _dvc(root: Path) -> Iterator[Finding]:
    from dvc.repo import Repo

    repo = Repo(str(root))
    cache = Path(repo.cache.local_cache_dir)
    there = next(path for path in (cache, *cache.parents) if path.exists())
    if _writes(there):
        yield _links(root, there, repo.config["cache"].get("type") or ["reflink", "copy"])
    else:
        yield Finding(
            "wrong", "DVC cache", f"{cache} cannot be written", "chmod it or `dvc cache dir`"
        )
    name = repo.config["core"].get("remote")
    if not name:
        fix = "dvc remote add -d NAME URL, to share data and models or to submit"
        yield Finding("note", "DVC remote", "none", fix)
        return
    url = repo.config["remote"][name]["url"]
    try:
        filesystem = repo.cloud.get_remote_odb(name).fs
        filesystem.exists(repo.cloud.get_remote_odb(name).path)
        yield Finding("ok", "DVC remote", f"{name}, {url}")
    except Exception as error:
        line = (str(error).strip() or type(error).__name__).splitlines()[0]
        yield Finding("wrong", "DVC remote", f"{name}, {url}: {line}", "check address, credentials")


def _links(root: Path, cache: Path, kinds: list[str]) -> Finding:
    """How outs share their bytes with the cache: the first configured way decides (DVC 3.67)."""
    working = next((kind for kind in kinds if works(kind, cache, root)), None)
    if working is None:
        return Finding("wrong", "DVC cache", "no link type works", "dvc config cache.type copy")
    if working == "copy":
        fix = "put the cache on the project's file system: `dvc cache dir`"
        return Finding("note", "DVC cache", f"{cache}, copies: data exist twice", fix)
    if working != kinds[0]:
        found = f"{cache}, {kinds[0]} does not work here: new data exist twice"
        fix = f"dvc config --local cache.type {WITHOUT_REFLINK} (the first run does so)"
        return Finding("note", "DVC cache", found, fix)
    return Finding("ok", "DVC cache", f"{cache}, {working}s")


def _secrets(root: Path) -> Iterator[Finding]:
    files = [TOKEN_FILE, root / ".dvc" / "config.local"]
    named = os.environ.get("RAY_AUTH_TOKEN_PATH")
    files += [Path(named)] if named else []
    for file in files:
        if not file.is_file():
            continue
        mode = stat.S_IMODE(file.stat().st_mode)
        # A worktree's config.local holds a path only; others may read what is no secret.
        secret = file.name != "config.local" or "secret" in file.read_text(encoding="utf-8")
        open_to = mode & 0o077 and secret
        yield Finding(
            "wrong" if open_to else "ok",
            "secrets",
            f"{file} has mode {mode:04o}",
            f"chmod 600 {file}" if open_to else "",
        )


def _writes(folder: Path) -> bool:
    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False
