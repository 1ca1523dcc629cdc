"""How many workers train on CPU by default: all cores that have enough to do; without torch."""

from stages.training.params import TrainingParams

TOKENS = 1024
"""Of a step, for each worker: with fewer, workers wait for one another longer than they compute."""
LEAST = 2


def cpu_workers(params: TrainingParams, cores: int) -> int:
    """The most workers, one core each, that every phase's batch can be shared out among evenly.

    Two at least, where there are two cores: what a toy's batches were always shared out among.
    """
    batches = [(params.batch_of(phase), phase.length) for phase in params.lengths]
    most = max(LEAST, min(tokens for tokens, _ in batches) // TOKENS)
    for workers in range(max(1, min(cores, most)), 1, -1):
        if not any(tokens // length % workers for tokens, length in batches):
            return workers
    return 1
