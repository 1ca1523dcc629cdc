"""The text of a params file made from a profile and ``a.b=c`` overrides, checked."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pipeline.use import PARAMS, profiles
from stages.common.errors import UserError
from stages.common.reading import parse
from stages.params import Params


def params_text(root: Path, profile: str | None, overrides: Sequence[str] = ()) -> str:
    """``params.yaml`` of ``root``, or the profile instead, with the overrides in their places."""
    known = profiles()
    if profile is not None and profile not in known:
        raise UserError(f"--profile {profile!r}: unknown; there are {', '.join(known)}")
    file = root / PARAMS
    if profile is None and not file.is_file():
        raise UserError(
            f"{file}: no such file; change to the project's folder, or name a --profile"
        )
    text = known[profile] if profile else file.read_text(encoding="utf-8")
    source = f"profile {profile}" if profile else str(file)
    yaml = YAML(pure=True)
    yaml.width = 120
    try:
        content = yaml.load(text)
    except YAMLError as error:
        raise UserError(f"{source}: not YAML: {str(error).splitlines()[0]}") from None
    for override in overrides:
        _put(content, override)
    parse(Params, YAML(typ="safe", pure=True).load(_dump(yaml, content)), source)
    return _dump(yaml, content) if overrides else text


def _dump(yaml: YAML, content: Any) -> str:
    buffer = io.StringIO()
    yaml.dump(content, buffer)
    return buffer.getvalue()


def _put(content: Any, override: str) -> None:
    """Set one leaf; the value is read as YAML. Unknown keys are the schema's to refuse."""
    path, equals, value = override.partition("=")
    keys = path.split(".")
    if not equals or not all(keys):
        raise UserError(f"--set {override!r}: write it as section.key=value")
    place = content
    for key in keys[:-1]:
        if not isinstance(place, dict) or not isinstance(place.get(key), dict):
            raise UserError(f"--set {override!r}: there is no section {key!r}")
        place = place[key]
    try:
        place[keys[-1]] = YAML(typ="safe", pure=True).load(value)
    except YAMLError:
        raise UserError(f"--set {override!r}: the value is not YAML") from None
