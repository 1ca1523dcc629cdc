"""Variables that must fit the machine: where resumable state is kept, and how many cores there are."""

import os
from collections.abc import Iterator
from pathlib import Path

from stages.common import variables
from stages.common.findings import Finding, refuse
from stages.common.seen import Seen

FIELD, CPUS = "REPO_RUNS", "REPO_CPUS"
PER_CORE = 8
"""Processes of Ray on a core, at most: more would only wait for one another."""


def check(seen: Seen) -> Iterator[Finding]:
    """Findings of ``REPO_RUNS`` and ``REPO_CPUS``; another machine's cannot be seen."""
    if seen.elsewhere:
        return
    for name, look in ((FIELD, _folder), (CPUS, _cores)):
        text = seen.environment.get(name, "")
        if text and not variables.table()[name].wrong(text):
            yield from look(seen, text)


def _cores(seen: Seen, text: str) -> Iterator[Finding]:
    there = os.cpu_count() or 1
    if seen.place.cores is not None and int(text) > PER_CORE * there:
        yield refuse(CPUS, text, f"there are {there} cores", f"give {there}, or unset it")


def _folder(seen: Seen, text: str) -> Iterator[Finding]:
    """A folder that exists or can be made, and none that DVC replaces."""
    folder = Path(os.path.normpath(seen.root / text))
    if seen.made_here(text):
        yield refuse(FIELD, text, "DVC replaces what is there", "name another folder")
        return
    # Not Path.exists: below a folder that may not be entered it raises.
    there = next(path for path in (folder, *folder.parents) if os.path.exists(path))  # noqa: PTH110
    if not there.is_dir():
        yield refuse(FIELD, text, f"{there} is a file", "name a folder")
    elif not os.access(there, os.W_OK | os.X_OK) or there.is_relative_to("/proc"):
        yield refuse(FIELD, text, f"nothing can be written to {there}", "name another folder")
