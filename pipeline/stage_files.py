"""The stages of ``dvc.yaml`` and ``dvc.lock`` as they are written; DVC itself takes a second."""

from functools import lru_cache
from pathlib import Path
from typing import Any

from stages.common.reading import read_yaml


def stages_in(file: Path) -> dict[str, Any]:
    """The entries by name, not to be changed; none where there is no such file.

    A command asks six times: the file is read again when it has changed. Raises ``UserError`` where
    it cannot be read.
    """
    if not file.is_file():
        return {}
    found = file.stat()
    return _read(file, found.st_mtime_ns, found.st_size, found.st_ino)


@lru_cache(maxsize=4)
def _read(file: Path, *state: int) -> dict[str, Any]:
    content = read_yaml(file, written=file.suffix == ".lock")
    stages = content.get("stages") if isinstance(content, dict) else None
    return stages if isinstance(stages, dict) else {}
