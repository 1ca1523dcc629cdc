"""Tokens, steps, FLOPs and memory of a training run by arithmetic (PERFORMANCE.md)."""

from stages.common.cost import Cost, Layout, Memory
from stages.common.shape import TRAINING, Shape
from stages.training.params import TrainingParams

LOGITS = 2**25
"""Logits that the loss holds at once (``objective.CHUNK_LOGITS``), with their gradient."""


def cost(params: TrainingParams, shape: Shape, map_layers: int, layout: Layout) -> Cost:
    """Cost of a run of ``shape`` with learned positions on ``map_layers`` layers."""
    parameters = shape.parameters + shape.map_parameters(map_layers)
    tokens, flops = 0, 0.0
    for phase in params.lengths:
        part = params.steps_of(phase) * params.batch_of(phase)
        tokens += part
        flops += part * shape.flops_per_token(phase.length, TRAINING, map_layers)
    size = _bytes_each(params)
    return Cost(
        tokens=tokens,
        steps=params.steps,
        flops=flops,
        parameters=parameters,
        memory=memory(params, shape, map_layers, layout),
        disk_bytes=parameters * (size + layout.checkpoints * 12),
    )


def memory(params: TrainingParams, shape: Shape, map_layers: int, layout: Layout) -> Memory:
    """Bytes on one GPU, for the ZeRO stage and micro-batch of ``layout``."""
    count, size = shape.parameters + shape.map_parameters(map_layers), _bytes_each(params)
    stage, workers = layout.zero_stage, layout.workers

    def shared(bytes_whole: float, from_stage: int) -> float:
        return bytes_whole / workers if stage >= from_stage else bytes_whole

    rows = max(params.batch_of(phase) for phase in params.lengths) / workers
    longest = max(phase.length for phase in params.lengths)
    micro = min(max(layout.micro_batch_tokens, longest), rows)
    saved = shape.activation_bytes(map_layers, size)
    # fp32: the weights are their own master; else a master copy beside two moments
    moments = count * (8 if params.precision == "fp32" else 12)
    if layout.gradient_checkpointing:  # each layer's input, and one layer whole
        saved = shape.layers * shape.width * size + saved / shape.layers
    return Memory(
        weights=shared(count * size, 3),
        gradients=shared(count * size, 2),
        optimizer=0.0 if layout.offload else shared(moments, 1),
        activations=micro * saved,
        logits=2 * 4 * min(LOGITS, micro * shape.vocabulary),
    )


def _bytes_each(params: TrainingParams) -> int:
    return 4 if params.precision == "fp32" else 2
