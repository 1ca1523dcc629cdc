"""Where the project is: commands of a run start in its root, the folder of ``dvc.yaml``."""

import shlex
from pathlib import Path
from typing import NamedTuple

from stages.common.errors import UserError

GRAPH = "dvc.yaml"
STAGES = b"python -m stages."
"""What a graph of ours runs; another project's is not to be run, and its params not replaced."""
CODE = Path(__file__).parents[1]
"""The checkout that this command's code is in (an editable install)."""
_LACKS = (f"it has no {GRAPH}", f"its {GRAPH} runs no stage of ours")


class Away(NamedTuple):
    """Why a folder is no project's root, and what to do."""

    found: str
    fix: str

    @property
    def line(self) -> str:
        """Both in one line."""
        return f"{self.found}: {self.fix}"


def working() -> Path:
    """The working directory. Raises ``UserError`` where somebody has deleted it."""
    try:
        return Path.cwd()
    except OSError as error:
        raise UserError(
            f"the working directory: {error.strerror}; `cd` to a folder that is there"
        ) from None


def here() -> Path:
    """The working directory, a project's root. Raises ``UserError`` that names the one to go to."""
    folder = working()
    if away := elsewhere(folder):
        raise UserError(away.line)
    return folder


def elsewhere(folder: Path) -> Away | None:
    """Why ``folder`` is no project's root, and where to go; none where it is one."""
    if _is_root(folder):
        return None
    for root in folder.parents:
        if _is_root(root):
            return Away(f"{folder} is inside a project, not its root", f"cd {_quoted(root)}")
    other = (folder / GRAPH).is_file()
    why = f"{folder} is {'another' if other else 'no'} project ({_LACKS[other]})"
    return Away(why, f"cd {_quoted(CODE)}" if _is_root(CODE) else "cd to the root of a checkout")


def _is_root(folder: Path) -> bool:
    try:
        return STAGES in (folder / GRAPH).read_bytes()
    except OSError:
        return False


def _quoted(folder: Path) -> str:
    return shlex.quote(str(folder))
