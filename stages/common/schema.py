"""The base of every params section: strict types, no unknown keys, frozen once read."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic.fields import FieldInfo

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Count = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0.0)]
NonNegative = Annotated[float, Field(ge=0.0)]

NAME = r"^[a-z][a-z0-9_]{0,31}$"
"""Names of variants: they become paths, names of DVC stages and parts of a command."""
SHA256 = r"^[0-9a-f]{64}$"
"""What a file or a folder is known by."""
SOURCE_NAME = r"^[A-Za-z0-9][A-Za-z0-9_.]{0,99}$"
"""Names of sources of documents: they become names of files."""


def new(default: Any, **constraints: Any) -> Any:
    """A field that schema 1 did not have: at its default, state keyed by schema 1 is still found."""
    return Field(default, json_schema_extra={"since": 2}, **constraints)


def is_new(field: FieldInfo) -> bool:
    """Whether the field came with schema 2."""
    extra = field.json_schema_extra
    return isinstance(extra, dict) and extra.get("since") == 2


class Section(BaseModel):
    """A section of ``params.yaml``: an unknown key, a wrong type or a bad value is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)
