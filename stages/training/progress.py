"""What a checkpoint knows beside the tensors: where the run stands, typed, and on which data."""

from dataclasses import asdict, dataclass, field, replace
from typing import Any, Self

from stages.common.errors import UserError
from stages.training.spikes import Spikes

FORMAT = 2


@dataclass(frozen=True)
class DataPosition:
    """What was read so far. It follows from the step; a checkpoint holds it to be compared."""

    step: int
    """Optimizer steps done."""
    tokens: int
    """Tokens trained on."""
    phase: int
    """Index of the length phase that the next step belongs to."""
    sequence: int
    """Sequences of that phase that were read."""
    data: str
    """Fingerprint of the tokens' manifest, which lists the shards' hashes."""
    order_seed: int


@dataclass(frozen=True)
class Progress:
    """Where a run stands; with the seed it determines the data that comes next."""

    position: DataPosition
    log: tuple[dict[str, Any], ...] = ()
    """The loss curve so far."""
    open_losses: tuple[tuple[float, ...], ...] = ()
    """By rank: its losses of the steps since the curve's last point."""
    skipped: int = 0
    """Steps that changed nothing because a gradient was not finite."""
    spikes: Spikes = field(default_factory=Spikes)
    base: dict[str, float] = field(default_factory=dict)
    """``held_out.Figures`` of the base model; empty where it was not read."""
    format: int = FORMAT

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: dict[str, Any], source: str) -> Self:
        """Read back; raises ``UserError`` that names ``source`` for a file of another format."""
        if not isinstance(content, dict):
            raise UserError(f"{source}: no progress of a training; remove the folder")
        if content.get("format") != FORMAT:
            raise UserError(
                f"{source}: checkpoint format {content.get('format')}, this version reads {FORMAT}; "
                "finish that run with the version that began it, or remove the folder"
            )
        try:
            spikes = Spikes(**{**content["spikes"], "recent": tuple(content["spikes"]["recent"])})
            plain = cls(
                DataPosition(**content["position"]),
                tuple(content["log"]),
                tuple(tuple(losses) for losses in content["open_losses"]),
                content["skipped"],
                base=content.get("base", {}),
            )
            return replace(plain, spikes=spikes)
        except (KeyError, TypeError) as error:
            raise UserError(
                f"{source}: no progress of a training ({error}); remove the folder"
            ) from None

    def check(self, expected: DataPosition, source: str) -> None:
        """Refuse to go on with other data or another order than this run has."""
        for name, value in asdict(expected).items():
            found = getattr(self.position, name)
            if found != value:
                raise UserError(
                    f"{source}: its data position has {name} {found!r}, the tokens and params give "
                    f"{value!r}: other data or another order; restore them or remove the folder"
                )
