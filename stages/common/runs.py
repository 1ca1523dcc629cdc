"""Resumable state: ``$REPO_RUNS/<stage>/<key>/``, outside of DVC's outs.

DVC may delete or replace outs; what must survive a kill lives here, keyed by everything that
identifies the work: the stage's params, the content of its inputs and its VERSION.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from pydantic import BaseModel

from stages.common.errors import TryAgain, UserError
from stages.common.files import fingerprint, write_json
from stages.common.stage import Job
from stages.common.variables import value

LOCK_WAIT_S = 60.0
"""A killed driver's Ray workers outlive it by 1-3 s; another live run takes its time."""

STATE = "state.json"
"""Whose work a folder is and whether it is finished; ``repo-pipeline gc`` reads it."""


def root() -> Path:
    """The folder of resumable state: ``$REPO_RUNS``, by default ``runs/``."""
    return Path(value("REPO_RUNS")).absolute()


def key(job: Job, inputs: Sequence[Path]) -> str:
    """Hash of what identifies the job's work (16 hexadecimal digits)."""
    identity = {
        "version": job.stage.version,
        "variant": job.variant,
        "seed": job.seed,
        "params": {name: _plain(getattr(job.params, name)) for name in job.stage.reads},
        "inputs": {path.as_posix(): fingerprint(path) for path in inputs},
    }
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]


@contextmanager
def workspace(job: Job, inputs: Sequence[Path]) -> Iterator[Path]:
    """Yield the job's folder of resumable state, owned by this process until the block ends.

    Raises ``TryAgain`` when another live run holds it, ``UserError`` when it cannot be written.
    """
    folder = root() / job.stage.name / key(job, inputs)
    lock = FileLock(folder / ".lock")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=LOCK_WAIT_S)
    except Timeout:
        raise TryAgain(f"{folder}: another run of {job.label} holds it; wait or stop it") from None
    except OSError as error:
        raise UserError(
            f"REPO_RUNS is {str(root())!r}: {error.strerror}; set it to a folder that can be written"
        ) from None
    try:
        write_json(folder / STATE, {"label": job.label, "finished": False})
        yield folder
        write_json(folder / STATE, {"label": job.label, "finished": True})
    finally:
        lock.release()


def _plain(value: Any) -> Any:
    return value.model_dump(mode="json") if isinstance(value, BaseModel) else value
