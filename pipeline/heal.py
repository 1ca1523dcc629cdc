"""What a kill can leave behind in DVC's own files, put right before the next run.

DVC 3.67 writes ``dvc.lock`` and its read-write lock in place: a process that is killed in that
moment leaves a file that no later command can read.
"""

import json
import shutil
import threading
import time
from pathlib import Path
from typing import Any

from stages.common.files import replacing

KEPT = Path(".dvc/tmp/repo-pipeline")
"""The conductor's own files in a checkout; DVC ignores and git ignores the folder."""
_LOOKS, _BETWEEN_S = 3, 0.3
"""A file that a live process is writing reads well a moment later."""
_one_at_a_time = threading.Lock()
"""Two stages that end together would write one temporary file, whose name bears the process alone."""


def heal(root: Path) -> list[str]:
    """Repair ``dvc.lock`` and DVC's locks; one line for each repair."""
    lock, said = root / "dvc.lock", []
    if lock.exists() and not _stays(lock_is_whole, lock):
        kept = root / KEPT / "dvc.lock"
        if kept.is_file():
            with replacing(lock) as temporary:
                shutil.copy(kept, temporary)
            said.append("dvc.lock was cut off by a kill; taken from the copy after the last stage")
        else:
            lock.unlink()
            said.append("dvc.lock was cut off by a kill; removed, the stages are checked again")
    held = root / ".dvc" / "tmp" / "rwlock"
    if held.exists() and not _stays(_is_json, held):
        held.unlink(missing_ok=True)
        said.append(f"{held.relative_to(root)} was cut off by a kill; removed")
    return said


def keep_lock(root: Path) -> None:
    """Keep a copy of ``dvc.lock`` as it is after a stage; a file in mid-write is left for later."""
    lock = root / "dvc.lock"
    if lock.is_file() and lock_is_whole(lock):
        with _one_at_a_time, replacing(root / KEPT / "dvc.lock") as temporary:
            shutil.copy(lock, temporary)


def _stays(whole: Any, path: Path) -> bool:
    for look in range(_LOOKS):
        if look:
            time.sleep(_BETWEEN_S)
        if whole(path):
            return True
    return False


def lock_is_whole(path: Path) -> bool:
    """Whether DVC could read a ``dvc.lock``."""
    from dvc.schema import COMPILED_LOCKFILE_SCHEMA
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError
    from voluptuous import Invalid

    try:
        COMPILED_LOCKFILE_SCHEMA(YAML(typ="safe").load(path.read_text(encoding="utf-8")))
    except (YAMLError, Invalid, UnicodeDecodeError, FileNotFoundError):
        return False
    return True


def _is_json(path: Path) -> bool:
    try:
        json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, FileNotFoundError):
        return False
    return True
