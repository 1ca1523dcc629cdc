"""What a stage asks of a machine, from its params alone; hours and money are ``pipeline.estimate``'s.

Each ``stages.<name>.cost`` has ``cost(params, variant, layout) -> Cost``. None of them imports
torch: a plan is there in a second.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from stages.common.shape import Shape, known

if TYPE_CHECKING:
    from stages.params import Params


@dataclass(frozen=True)
class Memory:
    """Bytes on one GPU during training."""

    weights: float
    gradients: float
    optimizer: float
    """fp32 master weights and moments, after ZeRO's partition."""
    activations: float
    logits: float
    process: float = 0.0
    """What a worker's process holds besides, where that is the host's memory."""

    @property
    def total(self) -> float:
        """All of them; fragmentation and NCCL's buffers come on top (allow 10 %)."""
        return sum(vars(self).values())


@dataclass(frozen=True)
class Layout:
    """How the work is shared out: what of the machine a cost depends on."""

    workers: int
    zero_stage: int
    micro_batch_tokens: int
    gradient_checkpointing: bool
    eval_batch_tokens: int
    offload: bool = False
    """Master weights and moments are in the host's memory."""
    compiled: bool = True
    """Blocks are compiled (``REPO_COMPILE``)."""
    checkpoints: int = 2
    """Kept on disk (``REPO_CHECKPOINT_KEEP``)."""
    milestone_steps: int = 1000
    """The weights after every so many steps stay on disk (``REPO_CHECKPOINT_MILESTONES``); 0: none."""
    on_cpu: bool = False
    """Workers are processes on CPU cores, one core each."""


@dataclass(frozen=True)
class Cost:
    """Work of one stage; what cannot be known offline is none."""

    tokens: int | None = None
    steps: int | None = None
    flops: float | None = None
    """Of the GPUs' dense work."""
    parameters: int | None = None
    memory: Memory | None = None
    core_seconds: float | None = None
    """Work of CPU cores."""
    core_flops: float | None = None
    """FLOP/s of one CPU core at this work, where there is no GPU."""
    cores: int | None = None
    """Cores that work on it, where there is no GPU; none: all."""
    decode_passes: float = 0.0
    """Forward passes of one token each, over batches, on one GPU."""
    decode_bytes: float = 0.0
    """Read from GPU memory by those passes."""
    fetch_bytes: float = 0.0
    """Read over the network."""
    disk_bytes: float | None = None
    note: str = ""


def base_shape(params: "Params") -> Shape | None:
    """Shape of the base model: of its source, else of ``base.architecture``."""
    found = None if params.base.source == "scratch" else known(params.base.source)
    shape, words = params.base.architecture, vocabulary(params)
    if found or shape is None or words is None:
        return found
    return Shape(
        family="olmo2",
        width=shape.hidden_size,
        inner=shape.intermediate_size,
        layers=shape.num_hidden_layers,
        heads=shape.num_attention_heads,
        kv_heads=shape.num_key_value_heads,
        head_width=shape.hidden_size // shape.num_attention_heads,
        vocabulary=words,
        tied=shape.tie_word_embeddings,
        window=shape.max_position_embeddings,
    )


def learned_layers(params: "Params", variant: str | None, shape: Shape) -> int:
    """Layers with learned positions in a variant (none: of the base)."""
    return 0 if variant is None else params.positions(variant, shape.layers).count("repo")


def vocabulary(params: "Params") -> int | None:
    """Tokens of the tokenizer, where that can be known offline."""
    if params.tokenizer.source == "train":
        return params.tokenizer.vocab_size
    shape = known(params.tokenizer.source)
    return shape.vocabulary if shape else None


def unknown(params: "Params") -> Cost:
    """The cost of a stage whose model's shape is not known offline."""
    return Cost(
        note=f"the shape of {params.base.source} is not known offline; a local folder's would be"
    )
