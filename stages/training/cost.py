"""Tokens, steps, FLOPs and memory of a training run by arithmetic (PERFORMANCE.md)."""

from typing import NamedTuple

from stages.common.cost import Cost, Layout, Memory
from stages.common.cpu import core_flops
from stages.common.shape import FORWARD, TRAINING, Shape
from stages.training.params import TrainingParams

LOGITS = 2**25
"""Logits that the loss holds at once (``objective.CHUNK_LOGITS``), with their gradient; it takes more
of a GPU's memory only where that is free."""

PROCESS = 1.4e9
"""Bytes of a worker's process on CPU besides: Python, torch, DeepSpeed, Ray, the model in fp32 while it
is read (SmolLM2-135M, two workers: 2.43 GB each at its peak with RoPE, 2.49 with RePo)."""


def cost(params: TrainingParams, shape: Shape, map_layers: int, layout: Layout) -> Cost:
    """Cost of a run of ``shape`` with learned positions on ``map_layers`` layers."""
    parameters = shape.parameters + shape.map_parameters(map_layers)
    part_of = trained(params, shape, map_layers)
    tokens, flops = 0, 0.0
    for phase in params.lengths:
        part = params.steps_of(phase) * params.batch_of(phase)
        tokens += part
        flops += part * _flops(shape, phase.length, map_layers, part_of)
    size = _bytes_each(params)
    kept = 1 + (params.steps // layout.milestone_steps if layout.milestone_steps else 0)
    return Cost(
        tokens=tokens,
        steps=params.steps,
        flops=flops,
        parameters=parameters,
        memory=memory(params, shape, map_layers, layout),
        disk_bytes=kept * parameters * size + part_of.weights * layout.checkpoints * 12,
        core_flops=core_flops(shape.width, params.precision == "bf16"),
        cores=layout.workers,
    )


class Trained(NamedTuple):
    """What of a model is trained."""

    weights: int
    """How many."""
    layers: int
    """Layers that a gradient goes through, from the top."""


def trained(params: TrainingParams, shape: Shape, map_layers: int) -> Trained:
    """Of ``train.trainable``; layers with maps are taken to be the uppermost."""
    wanted = params.trainable
    if wanted == "all":
        return Trained(shape.parameters + shape.map_parameters(map_layers), shape.layers)
    above = max(shape.layers - wanted.from_layer, 0)
    maps = min(map_layers, above) if wanted.maps else 0
    heads = {"q": shape.heads, "k": shape.kv_heads, "v": shape.kv_heads, "o": shape.heads}
    rows = shape.head_width * sum(heads[name] for name in wanted.attention)
    weights = above * rows * shape.width + shape.map_parameters(maps)
    return Trained(weights, above if wanted.attention else maps)


def _flops(shape: Shape, length: int, map_layers: int, part_of: Trained) -> float:
    """Per token: forward through all, backward through the layers above the first trained weight."""
    if part_of.layers == shape.layers and part_of.weights >= shape.parameters:
        return shape.flops_per_token(length, TRAINING, map_layers)
    share = part_of.layers / shape.layers
    layers = shape.active_parameters - shape.head_parameters + shape.map_parameters(map_layers)
    inputs = FORWARD * (share * layers + shape.head_parameters)
    attention = 2 * share * shape.attention_flops(length, FORWARD)
    forward = shape.flops_per_token(length, FORWARD, map_layers)
    return forward + inputs + attention + FORWARD * part_of.weights


def memory(params: TrainingParams, shape: Shape, map_layers: int, layout: Layout) -> Memory:
    """Bytes on one GPU, for the ZeRO stage and micro-batch of ``layout``."""
    count, size = shape.parameters + shape.map_parameters(map_layers), _bytes_each(params)
    part_of = trained(params, shape, map_layers)
    stage, workers = layout.zero_stage, layout.workers

    def shared(bytes_whole: float, from_stage: int) -> float:
        return bytes_whole / workers if stage >= from_stage else bytes_whole

    rows = max(params.batch_of(phase) for phase in params.lengths) / workers
    longest = max(phase.length for phase in params.lengths)
    micro = min(max(layout.micro_batch_tokens, longest), rows)
    kept = shape.activation_bytes(map_layers, size, layout.compiled)
    saved = kept * part_of.layers / shape.layers
    # fp32: the weights are their own master; else a master copy beside two moments
    moments = part_of.weights * (8 if params.precision == "fp32" else 12)
    if layout.gradient_checkpointing:  # each layer's input, and one layer whole
        saved = shape.layers * shape.width * size + saved / shape.layers
    return Memory(
        weights=shared(count * size, 3),
        gradients=shared(part_of.weights * (4 if params.wide_gradients else size), 2),
        optimizer=0.0 if layout.offload else shared(moments, 1),
        activations=micro * saved,
        logits=2 * 4 * min(LOGITS, micro * shape.vocabulary),
        process=PROCESS if layout.on_cpu else 0.0,
    )


def _bytes_each(params: TrainingParams) -> int:
    return 4 if params.precision == "fp32" else 2
