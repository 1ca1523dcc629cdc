"""Profiles: complete params files that replace ``params.yaml``."""

import subprocess
from importlib.resources import files
from pathlib import Path

from stages.common.errors import UserError
from stages.common.files import replacing

PARAMS = "params.yaml"


def profiles() -> dict[str, str]:
    """Name -> content of every profile that ships."""
    folder = files("pipeline.profiles")
    found = {
        file.name.removesuffix(".yaml"): file.read_text(encoding="utf-8")
        for file in folder.iterdir()
        if file.name.endswith(".yaml")
    }
    return dict(sorted(found.items()))


def use(name: str, root: Path) -> None:
    """Put profile ``name`` in place of ``root/params.yaml``.

    Raises ``UserError`` for an unknown name, and over edits that are not committed: they are in no
    profile and no commit, so nothing could bring them back.
    """
    known = profiles()
    if name not in known:
        raise UserError(f"profile {name!r}: unknown; there are {', '.join(known)}")
    target = root / PARAMS
    if target.is_file() and target.read_text(encoding="utf-8") not in known.values():
        changed = subprocess.run(
            ["git", "status", "--porcelain", "--", PARAMS],
            cwd=root,
            capture_output=True,
            text=True,
            check=False,
        )
        if changed.returncode or changed.stdout.strip():
            raise UserError(f"{PARAMS} has edits that are not committed; commit or drop them first")
    with replacing(target) as temporary:
        temporary.write_text(known[name], encoding="utf-8")
