"""``REPO_RUNS``: whether resumable state can be kept there."""

import os
from collections.abc import Iterator
from pathlib import Path

from stages.common import paths, variables
from stages.common.findings import Finding, refuse
from stages.common.seen import Seen

FIELD = "REPO_RUNS"
OUTS = (paths.CORPUS.parent, paths.BASE.parent, paths.RESULTS, paths.ANALYSIS, paths.REPORT)


def check(seen: Seen) -> Iterator[Finding]:
    """A folder that exists or can be made, and none that DVC replaces."""
    text = seen.environment.get(FIELD, "")
    if not text or seen.elsewhere or variables.table()[FIELD].wrong(text):
        return
    folder = Path(os.path.normpath(seen.root / text))
    if any(folder.is_relative_to(os.path.normpath(seen.root / out)) for out in OUTS):
        yield refuse(FIELD, text, "DVC replaces what is there", "name another folder")
        return
    there = next(path for path in (folder, *folder.parents) if path.exists())
    if not there.is_dir():
        yield refuse(FIELD, text, f"{there} is a file", "name a folder")
    elif not os.access(there, os.W_OK | os.X_OK) or there.is_relative_to("/proc"):
        yield refuse(FIELD, text, f"nothing can be written to {there}", "name another folder")
