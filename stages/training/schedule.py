"""The learning rate over a run, and how far it lets a weight travel; without torch, for plans."""

from stages.training.params import TrainingParams

ENOUGH = 0.1
"""Weights of about this size give |z| about 1 where maps read normed inputs (SmolLM2-135M)."""


def schedule(params: TrainingParams, step: int) -> float:
    """Share of the full learning rate at ``step`` (0-based): linear warm-up, constant, linear to 0.

    Without warm-up and with ``decay_share`` 1 it is the paper's: linear from lr to 0.
    """
    if step < params.warmup_steps:
        return (step + 1) / (params.warmup_steps + 1)
    decay_steps = params.decay_share * params.steps
    return min(1.0, (params.steps - step) / max(decay_steps, 1.0))


def map_travel(params: TrainingParams) -> float:
    """How far a weight of the maps can go: the sum of their learning rates (Adam's steps are about as
    long as the rate); 0 where they are frozen."""
    if params.trainable != "all" and not params.trainable.maps:
        return 0.0
    rate = params.map_lr or params.lr
    return rate * sum(schedule(params, step) for step in range(params.steps))


def travel_words(params: TrainingParams) -> str:
    """The same in words, with what follows from it."""
    far = map_travel(params)
    line = f"the maps' learning rates add up to {far:.2g}"
    if far < ENOUGH:
        line += (
            f", less than the {ENOUGH:g} that fresh maps need to leave NoPE in a pre-norm family; "
            "raise train.map_lr or tokens"
        )
    return line
