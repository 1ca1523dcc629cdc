"""Packages that are installed on request only, as extras of this project."""

from importlib.util import find_spec

from stages.common.errors import UserError


def require(package: str, extra: str, option: str) -> None:
    """Refuse an option whose package is not installed, naming the extra that brings it."""
    if find_spec(package) is None:
        raise UserError(
            f"{option} needs {package}, which is not installed; "
            f"pip install -e '.[{extra}]' in the checkout"
        )
