"""What DVC watches of the user's own files: ``corpus.needs``."""

from collections.abc import Iterable
from pathlib import PurePosixPath

NAMED = "named"
"""``corpus.source``: the documents are those of ``corpus.sources`` alone."""
NOTHING = "stages/corpus/version.py"
"""What ``needs`` names when the documents come from no file of the user's."""
READ_BY = {
    "path": ("local",), "dataset": ("hub",), "revision": ("hub",), "config": ("hub",),
    "max_documents": ("local", "hub"),
}  # fmt: skip
"""Keys of ``corpus`` that only some sources read."""


def watched(paths: Iterable[str]) -> str:
    """What ``needs`` must name: the one path, or the folder that several have in common."""
    parts = [PurePosixPath(path).parts for path in dict.fromkeys(paths)]
    if len(parts) < 2:
        return str(PurePosixPath(*parts[0])) if parts else NOTHING
    shared = []
    for level in zip(*parts, strict=False):
        if len(set(level)) > 1:
            break
        shared.append(level[0])
    return str(PurePosixPath(*shared))
