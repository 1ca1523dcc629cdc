"""Where a local Ray puts its sockets and logs.

A socket's path has at most 107 bytes (unix(7)) and Ray adds 64 to its folder, so a scheduler's long
``TMPDIR`` is too long; and ``/tmp/ray`` belongs to whoever came first.
"""

import os
import tempfile
from pathlib import Path

LONGEST = 40


def folder() -> str | None:
    """The first folder that is short and ours; none: Ray says what is wrong with its own."""
    bases = (os.environ.get("RAY_TMPDIR"), tempfile.gettempdir(), "/tmp", "/var/tmp", "/dev/shm")
    for base in filter(None, bases):
        for path in (Path(base) / "ray", Path(base) / f"ray-{os.getuid()}"):
            if len(os.fsencode(path)) <= LONGEST and _is_ours(path):
                return str(path)
    return None


def _is_ours(path: Path) -> bool:
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            return path.stat().st_uid == os.getuid()
    except OSError:
        return False
