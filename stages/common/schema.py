"""The base of every params section: strict types, no unknown keys, frozen once read."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Count = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0.0)]
NonNegative = Annotated[float, Field(ge=0.0)]


class Section(BaseModel):
    """A section of ``params.yaml``: an unknown key, a wrong type or a bad value is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
