"""What a variant is: its layers' positions, its own training settings, how it is measured and shown.

A preset needs nothing said; any other name is defined by params alone
(``definitions.<name>.{train,evaluate,report}``, each tracked by the stage that reads it).
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from stages.common.errors import UserError
from stages.common.schema import SHA256, Count, Positive, Section, new

PATTERNS: Mapping[str, tuple[str, ...]] = {
    "rope": ("rope",),
    "nope": ("nope",),
    "r2n1": ("rope", "rope", "nope"),
    "n2r1": ("nope", "nope", "rope"),
    "repo": ("repo",),
}
"""Presets as patterns over the layers (PAPER.md section 3); those of ``repo_model.layer_types``, here
without torch (a test holds them equal)."""

Position = Literal["rope", "nope", "repo"]
StartLayer = Annotated[int, Field(ge=0)] | Literal["auto"]
"""First layer that a pattern is laid on, 0-based; RoPE below. ``auto``: layers // 3 (the paper's 5 of
16 and 10 of 32)."""


class Origin(Section):
    """A model that is there already: a kept milestone, or the model of another item."""

    folder: Annotated[str, Field(min_length=1)]
    """Absolute, or from the project's folder."""
    sha256: Annotated[str, Field(pattern=SHA256)]
    """Over the folder's names and contents: ``python -m stages.train.origins FOLDER`` tells it. It is
    what DVC knows of the model, so another model under this name cannot go unnoticed."""
    seed: Annotated[int, Field(ge=0, lt=2**32)] | None = None
    """The item that it is for, where there are several seeds; none: all."""


class TrainDefinition(Section):
    """What makes a variant in training; tracked by its own ``train`` alone."""

    positions: str | Annotated[tuple[Position, ...], Field(min_length=1, strict=False)] | None = (
        None
    )
    """A preset's name, or types per layer; fewer than the model has layers are repeated as a pattern.
    A preset's own name needs none."""
    start_layer: StartLayer | None = None
    """Layers below it keep RoPE. Without one: ``train.start_layer`` for ``repo``, else 0."""
    overrides: dict[str, Any] = Field(default_factory=dict)
    """Values of ``train`` that this variant has of its own, e.g. ``{lr: 1e-3}``."""
    origins: Annotated[tuple[Origin, ...], Field(strict=False)] = new((), alias="from")
    """Nothing is trained: the variant is this model (a branch of a run), or the mean of several."""

    def origins_of(self, seed: int) -> tuple[Origin, ...]:
        """Those of the item with ``seed``."""
        return tuple(one for one in self.origins if one.seed in (None, seed))

    @field_validator("positions")
    @classmethod
    def _known(cls, value: Any) -> Any:
        if isinstance(value, str) and value not in PATTERNS:
            raise ValueError(
                f"{value!r} is no preset; write one of {', '.join(PATTERNS)}, or a list of types"
            )
        return value


class SoftmaxScale(Section):
    """A factor on the attention logits at one length, at test time."""

    length: Count
    scale: Positive


class EvaluateDefinition(Section):
    """Settings at test time; tracked by the variant's own ``evaluate`` alone."""

    softmax_scale: tuple[SoftmaxScale, ...] = Field(default=(), strict=False)
    """Per length; a length that is not listed has 1."""

    def scale_at(self, length: int) -> float:
        """The factor on the attention logits at ``length`` tokens."""
        return next((one.scale for one in self.softmax_scale if one.length == length), 1.0)


class ReportDefinition(Section):
    """How the variant is shown; tracked by ``report`` alone."""

    label: Annotated[str, Field(min_length=1, max_length=24)] | None = None


class Definition(Section):
    """A variant: what each stage that knows of it reads."""

    train: TrainDefinition = TrainDefinition()
    evaluate: EvaluateDefinition = EvaluateDefinition()
    report: ReportDefinition = ReportDefinition()


def refuse_undefined(name: str, defined: TrainDefinition) -> None:
    """Raise ``ValueError`` for a name that nothing says what it is, or a preset that is redefined."""
    if defined.origins and defined.overrides:
        raise ValueError(
            f"definitions.{name}.train.overrides: nothing is trained where there is a 'from'; remove "
            "one of them"
        )
    if name in PATTERNS:
        if defined.positions not in (None, name):
            raise ValueError(
                f"definitions.{name}.train.positions is {_shown(defined.positions)}, but {name} is a "
                "preset; give the variant another name"
            )
    elif defined.positions is None:
        raise ValueError(
            f"definitions.{name}.train.positions: missing; {name!r} is no preset "
            f"({', '.join(PATTERNS)}), so say which it is, or a list of types"
        )


def positions_of(
    name: str, defined: TrainDefinition, layers: int, start_layer: StartLayer
) -> list[str]:
    """One position type per layer of a model with ``layers`` layers.

    ``start_layer``: of ``train``, for ``repo``. Raises ``UserError`` where they do not fit.
    """
    positions = defined.positions or name
    start = defined.start_layer
    if start is None:
        start = start_layer if positions == "repo" else 0
    first = layers // 3 if start == "auto" else start
    if first >= layers:
        field = "train.start_layer" if defined.start_layer is None else _field(name, "start_layer")
        raise UserError(
            f"{field} is {first}, but the model has {layers} layers: variant {name!r} would be RoPE "
            f"throughout; write at most {layers - 1}, or auto"
        )
    pattern: Sequence[str] = PATTERNS[positions] if isinstance(positions, str) else positions
    if len(pattern) > layers:
        fix = f"leave out {name!r}" if name in PATTERNS else "shorten the pattern"
        raise UserError(
            f"{_field(name, 'positions')} has {len(pattern)} types, but the model has {layers} layers; "
            f"{fix}"
        )
    return ["rope" if i < first else pattern[i % len(pattern)] for i in range(layers)]


def _shown(positions: str | Sequence[str]) -> str:
    return repr(positions if isinstance(positions, str) else list(positions))


def _field(name: str, field: str) -> str:
    return f"definitions.{name}.train.{field}"
