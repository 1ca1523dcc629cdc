"""The DVC remote as both sides see it: its address travels, its credentials never do."""

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from stages.common.errors import UserError

SAFE_OPTIONS = ("url", "endpointurl", "region", "projectname", "use_ssl", "port", "version_aware")
"""Options of a DVC remote that are sent; anything else may be a secret or a path of the laptop."""


def described(root: Path) -> dict[str, Any]:
    """Name and sendable options of the default remote; raises a ``UserError`` without one."""
    from dvc.repo import Repo

    config = Repo(str(root)).config
    name = config["core"].get("remote")
    options = config["remote"].get(name, {}) if name else {}
    url = str(options.get("url", ""))
    if not url:
        raise UserError(
            "no DVC remote: the cluster would have nowhere to put results; "
            "`dvc remote add -d NAME s3://bucket/path` (also gs, ssh, a shared folder)"
        )
    if urlsplit(url).password:
        raise UserError(f"remote {name!r}: its url holds a password; take it out")
    if "://" not in url and not Path(url).is_absolute():
        options = {**options, "url": str((root / ".dvc" / url).resolve())}
    sent = {key: options[key] for key in SAFE_OPTIONS if key in options}
    return {"name": name, "options": sent}


def one_line(error: BaseException) -> str:
    """What went wrong, without a trace; storage libraries chain theirs."""
    seen: BaseException = error
    while seen.__cause__ is not None:
        seen = seen.__cause__
    lines = [line.strip() for line in str(seen).splitlines() if line.strip()]
    return f"{type(seen).__name__}: {lines[0]}" if lines else type(seen).__name__
