"""Where token files of a published list are: fetched to a folder that all runs share, or there already.

``REPO_TOKEN_FILES`` names another address than the list's (``https://…``, ``s3://…``), or a folder that
holds the files: they are read there and fetched nowhere.
"""

from pathlib import Path

from stages.common.runs import root
from stages.common.variables import value

VARIABLE = "REPO_TOKEN_FILES"
FOLDER = "token-files"


def is_address(text: str) -> bool:
    """Whether it is fetched from, and no folder."""
    return "://" in text


def home() -> Path:
    """The folder that the files' names in a list are relative to."""
    given = value(VARIABLE)
    return Path(given).absolute() if given and not is_address(given) else root() / FOLDER
