"""Only what these params ask for stands in the folders that the report depends on.

DVC has no dependency on "the items of these params", only on whole folders. What runs with other
params left there would enter dvc.lock, and a clone that pulls would never be up to date. So it is set
aside, beside, under a name that DVC does not look at (``.dvcignore``): nothing is deleted, and DVC
brings an item back from its cache when its params are used again.
"""

import itertools
import os
from collections.abc import Sequence
from pathlib import Path

from stages.common import paths

ASIDE = ".aside"
_OURS = (".building-", ".old-")
"""Beginnings of names that ``stages.common.outs`` uses; DVC does not look at them either."""


def set_aside(variants: Sequence[str], seeds: Sequence[int]) -> list[str]:
    """Move what is of no item of these params out of the report's folders; a line for each."""
    items = {f"{variant}-{seed}" for variant in variants for seed in seeds}
    said: list[str] = []
    for folder, own in ((paths.RESULTS, items | {paths.BASE.name}), (paths.ANALYSIS, items)):
        for found in sorted(folder.iterdir()) if folder.is_dir() else []:
            if found.name in own or found.name == ASIDE or found.name.startswith(_OURS):
                continue
            target = _free(folder / ASIDE / found.name)
            target.parent.mkdir(exist_ok=True)
            found.rename(target)
            said.append(f"{found}: not of these params; set aside as {target}")
    return said


def _free(path: Path) -> Path:
    """``path``, with a number behind it where something was set aside under that name before."""
    others = (path.with_name(f"{path.name}.{number}") for number in itertools.count(2))
    return next(one for one in itertools.chain([path], others) if not os.path.lexists(one))
