"""Params of a training run: everything that changes its result, and nothing that does not."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from stages.common.schema import Count, NonNegative, Positive, Section, Share, new

Projection = Literal["q", "k", "v", "o"]


class Target(Section):
    """How much of a phase's sequences a source gives."""

    share: Share | None = Field(default=None, gt=0.0)
    """Share of the phase's sequences; those of its sources add up to 1."""
    tokens: Count | None = None
    """The same in tokens: only their ratio counts, the phase has its own number of tokens."""
    max_passes: Positive | None = None
    """More passes over the source than these are refused; none: any number, told above four."""


class LengthPhase(Section):
    """A part of training at one sequence length."""

    length: Annotated[int, Field(ge=2)]
    share: Share
    """The phase's share of the tokens."""
    batch_tokens: Count | None = None
    """Tokens per optimizer step in this phase; none: as everywhere."""
    sources: Annotated[tuple[str, ...], Field(strict=False)] | dict[str, Target] | None = None
    """Sources of documents that it reads; none: all of them. A list takes them by their size, a
    mapping gives each its target (``{web: {share: 0.7}, math: {share: 0.3, max_passes: 4}}``)."""

    @property
    def weights(self) -> dict[str, float] | None:
        """Source -> its share of the phase, where the sources have targets."""
        if not isinstance(self.sources, dict):
            return None
        asked = {name: float(t.share or t.tokens or 0.0) for name, t in self.sources.items()}
        return {name: value / sum(asked.values()) for name, value in asked.items()}

    @model_validator(mode="after")
    def _targets_are_of_one_kind(self) -> Self:
        if not isinstance(self.sources, dict):
            return self
        if not self.sources:
            raise ValueError("sources is empty; name one, or leave it out for all of them")
        for name, target in self.sources.items():
            if (target.share is None) == (target.tokens is None):
                has = (
                    "neither share nor tokens" if target.share is None else "both share and tokens"
                )
                raise ValueError(f"sources.{name} has {has}; give it one of them")
        shares = [t.share for t in self.sources.values() if t.share is not None]
        if shares and len(shares) < len(self.sources):
            raise ValueError("sources: some have share and some tokens; give all of them the same")
        if shares and abs(sum(shares) - 1.0) > 1e-6:
            raise ValueError(
                f"sources: the shares add up to {sum(shares):g}, not to 1; give others"
            )
        return self


class Repetition(Section):
    """OLMo's instance filter: a sequence that only repeats itself teaches nothing."""

    max_period: Count
    """Tokens of the longest repeated piece that is looked for (PAPER.md section 3: 13)."""
    max_count: Annotated[int, Field(ge=2)]
    """A sequence with a piece this many times in a row is left out of the loss (32)."""


class Trainable(Section):
    """What is trained where not everything is; all else stays as in the starting model."""

    maps: bool = True
    """The position maps."""
    attention: Annotated[tuple[Projection, ...], Field(strict=False)] = ("q", "k")
    """Projections of attention: which tokens are looked at (q, k), and what is taken over (v, o)."""
    from_layer: Annotated[int, Field(ge=0)] = 0
    """First layer of which something is trained, 0-based. Nothing is computed backwards below it."""

    @model_validator(mode="after")
    def _something_is_named(self) -> Self:
        if not self.maps and not self.attention:
            raise ValueError(
                "maps is false and attention is empty: nothing would be trained; set one of them"
            )
        if len(set(self.attention)) != len(self.attention):
            raise ValueError(f"attention names one twice: {list(self.attention)}; name each once")
        return self


class TrainingParams(Section):
    """An optimizer on packed sequences (PAPER.md section 3: eos-separated documents, no mask)."""

    tokens: Count
    """Tokens to train on; each phase takes whole steps of its share."""
    batch_tokens: Count
    """Tokens per optimizer step, over all workers: constant whatever the worker count."""
    lengths: tuple[LengthPhase, ...] = Field(min_length=1, strict=False)
    """Phases in order; their shares add up to 1."""
    optimizer: Literal["adamw", "muon"] = "adamw"
    """``muon``: Muon on the matrices of the blocks, AdamW on embeddings, head and norms."""
    muon_lr: Positive | None = None
    """Muon's learning rate; it has the schedule of ``lr``."""
    lr: Positive
    map_lr: Positive | None = new(None)
    """Learning rate of the position maps, with the schedule of ``lr``; none: ``lr``, the paper's. In a
    pre-norm family fresh maps give |z| below 0.02; with Adam they have to travel to weights of about
    0.1 before |z| is about 1, which is a sum of learning rates of 0.1."""
    trainable: Literal["all"] | Trainable = new("all")
    """``all``, or e.g. ``{maps: true, attention: [q, k], from_layer: 10}``. What is frozen has no
    gradient and no optimizer state; the finished model holds all weights."""
    betas: tuple[Share, Share] = Field(strict=False)
    eps: Positive
    weight_decay: NonNegative
    grad_clip: Positive
    z_loss: NonNegative
    warmup_steps: Annotated[int, Field(ge=0)]
    decay_share: Share
    """The last part of the steps, over which the lr falls linearly to zero; 1: from the start."""
    precision: Literal["fp32", "bf16"]
    gradients: Literal["fp32", "bf16"] | None = new(None)
    """In what the gradients of a step's passes and of all workers are summed; none: ``precision``. The
    paper's trainer sums in fp32; bf16 sums are off by 0.4 % of a step's gradient."""
    document_mask: bool = False
    """Whether a document sees only itself; the paper's do see those packed before them."""
    repetition: Repetition | None = None
    """Filter of repetitive sequences; none: all count."""

    def batch_of(self, phase: LengthPhase) -> int:
        """Tokens per optimizer step in ``phase``."""
        return phase.batch_tokens or self.batch_tokens

    def steps_of(self, phase: LengthPhase) -> int:
        """Optimizer steps of ``phase``."""
        return round(self.tokens * phase.share) // self.batch_of(phase)

    @property
    def longest(self) -> int:
        """Tokens of the longest sequence: the trained length."""
        return max(phase.length for phase in self.lengths)

    @property
    def steps(self) -> int:
        """Optimizer steps of the whole run."""
        return sum(self.steps_of(phase) for phase in self.lengths)

    @property
    def wide_gradients(self) -> bool:
        """Whether gradients are summed in more than the passes' precision."""
        return self.precision == "bf16" and self.gradients == "fp32"

    @model_validator(mode="after")
    def _phases_fit(self) -> Self:
        total = sum(phase.share for phase in self.lengths)
        if abs(total - 1.0) > 1e-6:
            raise ValueError(f"lengths: the shares add up to {total:g}, not to 1; give others")
        for phase in self.lengths:
            if self.batch_of(phase) % phase.length:
                raise ValueError(
                    f"batch_tokens is {self.batch_of(phase)}, "
                    f"not a multiple of the length {phase.length}; "
                    f"give {-(-self.batch_of(phase) // phase.length) * phase.length}"
                )
        if (self.optimizer == "muon") != (self.muon_lr is not None):
            fix = "give one, 0.02 is usual" if self.muon_lr is None else "leave it out"
            raise ValueError(f"muon_lr is {self.muon_lr} with optimizer {self.optimizer!r}; {fix}")
        if self.map_lr is not None and self.optimizer != "adamw":
            raise ValueError(
                f"map_lr is {self.map_lr} with optimizer {self.optimizer!r}: adamw only; leave it out"
            )
        if self.trainable != "all" and self.optimizer != "adamw":
            raise ValueError(
                f"trainable is not 'all' with optimizer {self.optimizer!r}: adamw only; give all"
            )
        if self.precision == "fp32" and self.gradients == "bf16":
            raise ValueError(
                "gradients is 'bf16' with precision 'fp32'; leave it out, or give fp32"
            )
        if self.optimizer == "muon" and self.precision != "fp32":
            raise ValueError(
                f"optimizer 'muon' is for small models in fp32, precision is {self.precision!r}; give "
                "one of the two otherwise"
            )
        if self.steps < 1:
            raise ValueError(
                f"tokens is {self.tokens}, less than one batch of {self.batch_tokens}; raise it, "
                "or lower batch_tokens"
            )
        return self
