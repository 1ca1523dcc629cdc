"""The user's own model and documents on their way to a cluster.

What git holds travels with the commit. What ``dvc add`` tracks is pushed to the DVC remote when a run
is sent, and pulled from there by the job. All else is refused here, where the user still is.
"""

import re
import subprocess
import sys
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Any

from pipeline import git
from pipeline.check import read
from pipeline.graph import Graph
from pipeline.process import dvc_said
from stages.common.errors import UserError
from stages.common.tracked import dvc_files, held
from stages.given import named
from stages.params import Params

_LITTER = re.compile(r"(^|/)(\.|__pycache__/)")
"""What systems and editors leave in a folder, and nobody misses."""


def inputs(graph: Graph, selected: Collection[str], params: Params) -> list[Path]:
    """Files and folders that the selected stages read and none makes, relative to the project."""
    found = [*graph.inputs(selected), *named(params)]
    return [path for path in dict.fromkeys(found) if not path.is_absolute()]


def to_send(root: Path, paths: Iterable[Path], params: Params) -> list[Path]:
    """The ``.dvc`` files that stand for ``paths`` on the way.

    Raises ``UserError`` for a path that would not arrive, and for what was edited since ``dvc add``.
    """
    found: list[Path] = []
    for path in paths:
        files = dvc_files(root, [path])
        if not files and (root / path).exists() and (left := _left_out(root, path)):
            raise UserError(
                f"{_field(params, path)} is {str(path)!r}: git does not hold {left}, so the cluster "
                f"would not get it; `dvc add {path}` and commit {path}.dvc, or give the whole path of "
                "one that the cluster sees"
            )
        for file in files:
            if (root / held(file)).exists() and _edited(root, file):
                raise UserError(
                    f"{_field(params, path)} is {str(path)!r}: {held(file)} is not what {file} says; "
                    f"`dvc add {held(file)}` once more and commit, or `dvc checkout {file}`"
                )
        found += files
    return list(dict.fromkeys(found))


def push(root: Path, files: Iterable[Path]) -> None:
    """Push what is here of the data behind ``.dvc`` files; what is there already costs a look."""
    here = [str(file) for file in files if (root / held(file)).exists()]
    if not here:
        return
    print(
        f"pushing {', '.join(str(held(Path(file))) for file in here)} to the DVC remote", flush=True
    )
    done = subprocess.run(
        [sys.executable, "-m", "dvc", "push", *here],
        cwd=root,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode:
        raise UserError(f"dvc push {' '.join(here)}: {dvc_said(done)}")


def to_bring(root: Path, graph: Graph, selected: Collection[str]) -> list[Path]:
    """The ``.dvc`` files in a checkout that hold what the selected stages read."""
    return dvc_files(root, inputs(graph, selected, read(root)))


def _left_out(root: Path, path: Path) -> str | None:
    """The path itself or a file below it that would not be sent: ignored, or a link that leads out."""
    if not (root / path).resolve().is_relative_to(root.resolve()):
        return "what this link leads to"
    asked = ("ls-files", "-z", "--others", "--exclude-standard")
    place = ("--", f":(literal){path}")
    if not git.ask(root, *asked, "--cached", *place):  # --dirty takes new files along
        return "it"
    ignored = git.ask(root, *asked, "--ignored", *place).split("\0")
    kept = (name for name in ignored if name and not _LITTER.search(name))
    return next(kept, None)


def _edited(root: Path, file: Path) -> bool:
    from dvc.repo import Repo

    stages = Repo(str(root)).stage.load_file(str(root / file))
    return any(bool(out.status()) for stage in stages for out in stage.outs)


def _field(params: Params, path: Path) -> str:
    """The param that names a path, in the user's words."""
    names = [name for name, value in _texts(params.model_dump()) if Path(value) == path]
    names.sort(key=lambda name: name.endswith(".needs"))
    return names[0] if names else "an input"


def _texts(values: Any, name: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(values, dict):
        for key, value in values.items():
            yield from _texts(value, f"{name}.{key}" if name else str(key))
    elif isinstance(values, str):
        yield name, values
