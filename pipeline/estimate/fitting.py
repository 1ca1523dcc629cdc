"""What would make a training fit into a GPU's memory: tried by the same reckoning, cheapest first."""

from collections.abc import Callable, Iterator
from dataclasses import replace

from stages.common.cost import Layout, Memory

SPARE = 1.1
"""Fragmentation and NCCL's buffers take a tenth."""
LEAST_TOKENS = 512
"""Of a micro-batch; the reckoning itself stops at one row."""
MOST_GPUS = 64


def fits(memory: Memory, room: float) -> bool:
    """Whether a training fits into ``room`` bytes, with a tenth to spare."""
    return memory.total * SPARE <= room


def remedy(memory_of: Callable[[Layout], Memory], how: Layout, room: float, muon: bool) -> str:
    """The settings that make it fit, dearest last; or what of it no setting takes away.

    ``muon``: its update wants whole matrices, so there is neither ZeRO nor offload.
    """
    for one in _settings(how, muon):
        if fits(memory_of(one), room):
            return f"set {_said(one, how, memory_of)}"
    least = memory_of(_leanest(how, muon))
    states = least.weights + least.gradients + least.optimizer
    more = _more_gpus(memory_of, how, room, muon)
    return (
        f"no setting makes it fit: weights, gradients and moments alone take {states / 1e9:.0f} GB; "
        f"{more}train a part of it (train.trainable), or take larger ones"
    )


def _settings(how: Layout, muon: bool) -> Iterator[Layout]:
    """From what costs little speed to what costs much."""
    stages = [how.zero_stage]
    if how.workers > 1 and not muon:
        stages = list(range(how.zero_stage, 4))
    for offload in sorted({how.offload, not muon}):
        for stage in stages:
            for recomputed in sorted({how.gradient_checkpointing, True}):
                tokens = how.micro_batch_tokens
                while tokens >= LEAST_TOKENS:
                    yield replace(
                        how,
                        zero_stage=max(stage, 1) if offload else stage,
                        offload=offload,
                        gradient_checkpointing=recomputed,
                        micro_batch_tokens=tokens,
                    )
                    tokens //= 2


def _leanest(how: Layout, muon: bool) -> Layout:
    *_, last = _settings(how, muon)
    return replace(last, offload=how.offload)


def _more_gpus(memory_of: Callable[[Layout], Memory], how: Layout, room: float, muon: bool) -> str:
    workers = how.workers
    while not muon and (workers := workers * 2) <= MOST_GPUS:
        for one in _settings(replace(how, workers=workers), muon):
            if not one.offload and fits(memory_of(one), room):
                return f"take {workers} GPUs with {_said(one, how, memory_of)}, "
    return ""


def _said(one: Layout, how: Layout, memory_of: Callable[[Layout], Memory]) -> str:
    """The variables of a layout that differ from the run's own, and what they take of the host."""
    values = {
        "REPO_MICRO_BATCH_TOKENS": (one.micro_batch_tokens, how.micro_batch_tokens),
        "REPO_GRADIENT_CHECKPOINTING": (one.gradient_checkpointing, how.gradient_checkpointing),
        "REPO_ZERO": (one.zero_stage, how.zero_stage),
        "REPO_OFFLOAD": (one.offload, how.offload),
    }
    words = [f"{name}={int(new)}" for name, (new, old) in values.items() if new != old]
    if one.offload and not how.offload:
        held = memory_of(replace(one, offload=False)).optimizer
        words[-1] += f" ({held / 1e9:.0f} GB of the host's memory for each GPU)"
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last
