"""Resumable state: ``$REPO_RUNS/<stage>/<key>/``, outside of DVC's outs.

DVC may delete or replace outs; what must survive a kill lives here, keyed by everything that
identifies the work: the stage's params, the content of its inputs and its VERSION.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from pydantic import BaseModel

from stages.common.errors import TryAgain, UserError
from stages.common.files import fingerprint, write_json
from stages.common.schema import is_new
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
    """Hash of what identifies the job's work (16 hexadecimal digits).

    Params at their default are left out, so that a new param orphans nothing that can be resumed
    (a default that changes raises the stage's VERSION).
    """
    return _hash(job, _contents(inputs), _said)


def _hash(job: Job, inputs: Mapping[str, Any], plain: Callable[[Any], Any]) -> str:
    identity = {
        "version": job.stage.version,
        "variant": job.variant,
        "seed": job.seed,
        "params": {name: plain(getattr(job.params, name)) for name in job.stage.reads},
        "inputs": inputs,
    }
    if job.definition is not None and (defined := _said(job.definition)):
        identity["definition"] = defined
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]


def _contents(inputs: Sequence[Path]) -> dict[str, Any]:
    return {path.as_posix(): fingerprint(path) for path in inputs}


def _folder(job: Job, inputs: Sequence[Path]) -> Path:
    """The job's folder; one that schema 1 left under its own key goes on being used."""
    parent, contents = root() / job.stage.name, _contents(inputs)
    folder = parent / _hash(job, contents, _said)
    before = parent / _hash(job, contents, _schema_1)
    return before if before.is_dir() and not folder.is_dir() else folder


@contextmanager
def workspace(job: Job, inputs: Sequence[Path]) -> Iterator[Path]:
    """Yield the job's folder of resumable state, owned by this process until the block ends.

    Raises ``TryAgain`` when another live run holds it, ``UserError`` when it cannot be written.
    """
    folder = _folder(job, inputs)
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


def _said(value: Any) -> Any:
    """What of a section is not at its default."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", exclude_defaults=True)
    return value


def _schema_1(value: Any) -> Any:
    """A section as schema 1 wrote it into keys: whole, without the fields that came later."""
    if not isinstance(value, BaseModel):
        return value
    dumped = value.model_dump(mode="json")
    _drop_new(value, dumped)
    return dumped


def _drop_new(value: Any, dumped: Any) -> None:
    if isinstance(value, BaseModel):
        for name, field in type(value).model_fields.items():
            inside = getattr(value, name)
            if is_new(field) and inside == field.get_default(call_default_factory=True):
                dumped.pop(name, None)
            elif name in dumped:
                _drop_new(inside, dumped[name])
    elif isinstance(value, (tuple, list)):
        for one, entry in zip(value, dumped, strict=True):
            _drop_new(one, entry)
    elif isinstance(value, Mapping):
        for name, one in value.items():
            _drop_new(one, dumped[str(name)])
