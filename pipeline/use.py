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


def use(text: str, root: Path) -> None:
    """Put ``text`` in place of ``root/params.yaml``.

    Raises ``UserError`` over edits that are not committed: they are in no profile and no commit, so
    nothing could bring them back.
    """
    target = root / PARAMS
    if target.is_file() and target.read_text(encoding="utf-8") not in profiles().values():
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
        temporary.write_text(text, encoding="utf-8")
