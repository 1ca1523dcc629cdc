"""Finished stages by what they were made from: who goes back to earlier params waits for no training.

DVC has no run cache for outs with ``persist: true``: ``dvc repro`` makes anew what is only gone, and
``dvc.lock`` knows the last result of a stage alone. So each entry of it is kept under
``REPO_RUNS/finished``, by a hash of command, params and the hashes of the inputs; the outs
themselves are in DVC's cache, once. What a stage could have been resumed from is of no use any more
then, and goes.
"""

import contextlib
import hashlib
import json
import logging
import shutil
from collections.abc import Collection, Iterable, Mapping
from copy import copy
from pathlib import Path
from types import MappingProxyType
from typing import Any

from filelock import FileLock, Timeout

from pipeline import outside
from pipeline.cache_links import unwritable
from pipeline.graph import touch
from pipeline.stage_files import stages_in
from stages.common.errors import UserError
from stages.common.files import read_json, write_json
from stages.common.runs import STATE
from stages.common.runs import root as runs_root
from stages.given import WATCHED

FOLDER = "finished"
MILESTONES = "milestones"
RECORDS = ("metrics.jsonl", "log.jsonl", "sources.json", "tensorboard", MILESTONES)
"""Of a run's folder: what people look at afterwards, and weights that were kept to branch from."""
BROUGHT_BACK = "made before from the same params and inputs: its outs come back from the cache"


def keep(root: Path, name: str, given: Mapping[str, outside.Stamp] = MappingProxyType({})) -> bool:
    """Remember what ``dvc.lock`` says of a stage that DVC has just committed; returns whether it could.

    ``given``: the files of the user's that it was made of and DVC does not watch.

    Another stage may be writing the lock, or the disk be full: the result is there all the same.
    """
    entry = _entry(root, name)
    if entry:
        outside.keep(root, name, _outs_key(entry), given)
        try:
            write_json(_folder(name) / f"{_key(entry)}.json", entry)
        except OSError:
            return False
    return bool(entry)


def _entry(root: Path, name: str) -> Any:
    """What ``dvc.lock`` says of a stage; none where it says nothing or cannot be read just now."""
    try:
        return stages_in(root / "dvc.lock").get(name)
    except (UserError, OSError):
        return None


def not_kept(root: Path, name: str) -> str:
    """Why DVC's cache lacks outs of a stage that DVC has just committed; empty where it has them all.

    DVC 3.67 tells a copy into the cache that failed at DEBUG alone, writes dvc.lock and ends well.
    """
    from dvc.repo import Repo

    made = _outs(_entry(root, name) or {})
    with contextlib.closing(Repo(str(root))) as repo:
        lost = {path for path, md5 in made.items() if md5 and not repo.cache.local.exists(md5)}
        if lost:  # or they are to be in no cache
            stages = [s for s in repo.index.stages if getattr(s, "name", None) == name]
            lost &= {out.def_path for stage in stages for out in stage.outs if out.use_cache}
        folder = Path(repo.cache.local_cache_dir)
    if not lost:
        return ""
    why = unwritable(folder) or "it can be written now"
    return (
        f"{min(lost)} was made, but DVC's cache {folder} did not take it ({why}); fix that, then "
        f"`dvc commit --force {name}`"
    )


def outdated(root: Path, names: Iterable[str] = WATCHED) -> dict[str, str]:
    """Those whose outs were made of files that are others now, and why; DVC sees no change."""
    found: dict[str, str] = {}
    for name in WATCHED.keys() & names:
        other = outside.changed(root, name, _outs_key(_entry(root, name) or {}))
        if other:
            more = f" and {len(other) - 1} more" if len(other) > 1 else ""
            found[name] = f"{other[0]}{more} changed"
    return found


def known(
    stage: Any, inputs: dict[str, str], moved: Collection[str] = (), locked: bool = False
) -> dict[str, str] | None:
    """Hashes of the outs by path, where DVC's ``stage`` was finished before and the cache has them.

    ``inputs``: hashes of files and folders as the stage will find them, by path: those that another
    stage brings back by then must be there; the others are added as they are here, read once a plan.
    ``moved``: paths that will be other than they are here now: nothing is known of a folder with one.
    ``locked``: whether what ``dvc.lock`` has already counts as well.
    """
    if not any(_folder(stage.name).glob("*.json")):
        return None  # most stages, most of the time: nothing is read
    tried = _copied(stage)  # a plan touches nothing, the graph's stages neither
    if any(touch((dep.def_path,), moved) for dep in tried.deps if dep.def_path not in inputs):
        return None
    kept = _fill(tried, inputs)
    return None if kept is None or (_is_locked(stage, kept) and not locked) else _outs(kept)


def restore(root: Path, name: str) -> bool:
    """Bring back the outs of a stage that was finished before; returns whether it did.

    Either it was made from these params and inputs earlier than what ``dvc.lock`` has, or the lock
    has it and the outs alone are gone or others.
    """
    stage = _find(root, name)
    if stage is None:
        return False
    from dvc.exceptions import DvcException

    logging.getLogger("dvc").setLevel(logging.WARNING)  # "Updating lock file": in nobody's log
    try:
        with stage.repo.lock:
            stage.dump(update_pipeline=False)
            stage.checkout(force=True)
    except (DvcException, OSError):
        return False  # it is made anew then
    finally:
        stage.repo.close()
    return True


def clear(name: str, since: float) -> None:
    """Remove the resumable state of a stage that ended well after ``since``; its records stay.

    ``since``: seconds of the epoch. Another run's state, unfinished or older, is not touched.
    """
    for state in runs_root().glob(f"{name.partition('@')[0]}/*/{STATE}"):
        folder = state.parent
        with contextlib.suppress(OSError, UserError, Timeout):
            content = read_json(state)
            ours = content.get("label") == name and content.get("finished") is True
            if not ours or state.stat().st_mtime < since:
                continue
            with FileLock(folder / ".lock", timeout=0):
                for record in RECORDS:
                    if (folder / record).exists():
                        target = _folder(name) / folder.name / record
                        target.parent.mkdir(parents=True, exist_ok=True)
                        (folder / record).replace(target)
                shutil.rmtree(folder)


def _folder(name: str) -> Path:
    return runs_root() / FOLDER / name


def _find(root: Path, name: str) -> Any:
    """The stage as DVC has it, with the entry to bring back in it; none where nothing is to be done."""
    if not _entry(root, name) and not any(_folder(name).glob("*.json")):
        return None  # the first time: DVC is not even opened
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        repo = Repo(str(root), _wait_for_lock=True)
        stage = next((s for s in repo.index.stages if getattr(s, "name", None) == name), None)
    except (DvcException, OSError):
        return None  # a file cannot be read: DVC says so where it matters
    if stage is None:
        return None
    before, kept = _copied(stage), _fill(stage, {})
    if kept is None or _is_locked(before, kept):
        return before if _outs_alone_are_gone(before) and not outdated(root, (name,)) else None
    return stage


def _outs_alone_are_gone(stage: Any) -> bool:
    """Whether all is as ``dvc.lock`` has it but outs in the folder, and the cache has those."""
    from dvc.exceptions import DvcException

    try:
        # Piece by piece: `stage.changed_deps()` wants DVC's lock held.
        changed = stage.changed_stage() or any(dep.status() for dep in stage.deps)
        gone = any(out.workspace_status() for out in stage.outs)
        return gone and not changed and not any(out.changed_cache() for out in stage.outs)
    except (DvcException, OSError):
        return False


def _copied(stage: Any) -> Any:
    made = copy(stage)
    made.deps, made.outs = [copy(dep) for dep in stage.deps], [copy(out) for out in stage.outs]
    return made


def _is_locked(stage: Any, kept: Mapping[str, Any]) -> bool:
    """Whether an entry is what ``dvc.lock`` has of DVC's ``stage``."""
    from dvc.stage.serialize import to_single_stage_lockfile

    recorded = to_single_stage_lockfile(stage)
    return _key(recorded) == _key(kept) and _outs(recorded) == _outs(kept)


def _fill(stage: Any, inputs: dict[str, str]) -> Any:
    """Put what was kept of the inputs of now into a stage of DVC's; returns the entry, or none."""
    from dvc.dependency import ParamsDependency
    from dvc.exceptions import DvcException
    from dvc.stage.loader import StageLoader
    from dvc.stage.serialize import to_single_stage_lockfile
    from dvc_data.hashfile.hash_info import HashInfo
    from dvc_data.hashfile.meta import Meta

    name = str(stage.name)
    try:
        for dep in stage.deps:
            is_file = not isinstance(dep, ParamsDependency)  # a file may be both
            if is_file and dep.def_path in inputs:
                dep.hash_info = HashInfo("md5", inputs[dep.def_path])
                dep.meta = Meta()  # dvc.lock's md5 is in it as well, and would be written
                continue
            dep.save()
            if is_file:
                inputs[dep.def_path] = dep.hash_info.value
        entry = _folder(name) / f"{_key(to_single_stage_lockfile(stage))}.json"
        if not entry.is_file():
            return None
        kept = read_json(entry)
    except (DvcException, UserError, OSError):
        return None  # an input is not there, or a file cannot be read: DVC says so where it matters
    if outside.changed(Path(stage.repo.root_dir), name, _outs_key(kept)):
        return None
    StageLoader.fill_from_lock(stage, kept)
    if {out.def_path for out in stage.outs} != set(_outs(kept)):
        return None  # dvc.yaml asks for other outs now
    return None if any(out.changed_cache() for out in stage.outs) else kept


def _key(entry: Mapping[str, Any]) -> str:
    """Hash of what a stage is made from (16 hexadecimal digits)."""
    deps = {dep["path"]: dep.get("md5") for dep in entry.get("deps") or ()}
    made_from = {"cmd": entry["cmd"], "deps": deps, "params": entry.get("params") or {}}
    text = json.dumps(made_from, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _outs_key(entry: Mapping[str, Any]) -> str:
    """Hash of a stage's outs (16 hexadecimal digits)."""
    text = json.dumps(_outs(entry), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _outs(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {out["path"]: out.get("md5") for out in entry.get("outs") or ()}
