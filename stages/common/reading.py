"""Reading of YAML and the errors of a bad params file, one line per mistake."""

import difflib
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from stages.common.errors import UserError

Model = TypeVar("Model", bound=BaseModel)


def read_yaml(path: Path) -> Any:
    """The content of a YAML 1.2 file, read as DVC reads it (so ``1e-3`` is a number)."""
    try:
        return YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" line {mark.line + 1}" if mark else ""
        raise UserError(f"{path}{where}: not YAML: {getattr(error, 'problem', error)}") from None
    except (UnicodeDecodeError, RecursionError) as error:
        raise UserError(f"{path}: not YAML ({type(error).__name__})") from None


def parse(model: type[Model], content: Any, source: str) -> Model:
    """Check ``content`` against ``model``; all its mistakes are named in one ``UserError``."""
    try:
        return model.model_validate(content)
    except ValidationError as error:
        mistakes = error.errors()
        inner = [m["loc"] for m in mistakes]
        # A list whose item is wrong is also "too short": only the item is the user's mistake.
        lines = [
            _line(model, source, mistake)
            for mistake in mistakes
            if not any(loc != mistake["loc"] == loc[: len(mistake["loc"])] for loc in inner)
        ]
        raise UserError("\n".join(lines)) from None


def _line(model: type[BaseModel], source: str, mistake: Any) -> str:
    keys = [str(part) for part in mistake["loc"]]
    where = ".".join(keys) or "(whole file)"
    if mistake["type"] == "extra_forbidden":
        near = difflib.get_close_matches(keys[-1], _fields(model, keys[:-1]), n=1)
        fix = f"did you mean {near[0]!r}?" if near else "remove it"
        return f"{source}: {where}: unknown key; {fix}"
    if mistake["type"] == "missing":
        return f"{source}: {where}: missing; add it"
    message = mistake["msg"].removeprefix("Value error, ")
    if mistake["type"] == "value_error":
        return f"{source}: {where}: {message}"
    return f"{source}: {where} is {mistake['input']!r}: {message[0].lower()}{message[1:]}"


def _fields(model: type[BaseModel], keys: list[str]) -> list[str]:
    """Names of the fields of the section that ``keys`` leads to."""
    current: type[BaseModel] = model
    for key in keys:
        field = current.model_fields.get(key)
        if field is None:
            continue  # an index of a list, or a branch of a union
        for candidate in (field.annotation, *getattr(field.annotation, "__args__", ())):
            if isinstance(candidate, type) and issubclass(candidate, BaseModel):
                current = candidate
                break
    return list(current.model_fields)
