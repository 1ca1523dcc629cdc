"""Prefill, decoding and validation windows of one model (PERFORMANCE.md, Evaluation)."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from stages.benchmarks.cost import cells
from stages.common.cost import Cost, Layout, base_shape, learned_layers, unknown
from stages.common.cpu import core_flops, fast_bf16
from stages.common.shape import FORWARD

if TYPE_CHECKING:
    from stages.params import Params


def cost(params: "Params", variant: str | None, layout: Layout) -> Cost:
    """Lengths beyond the trained one that the base's window holds are read plain and extended."""
    shape, trained = base_shape(params), params.train.longest
    window = trained if shape is None else shape.window
    both = [length for length in params.benchmarks.lengths if trained < length <= window]
    return work(params, variant or "rope", layout, both)


def work(params: "Params", variant: str, layout: Layout, both_ways: Sequence[int]) -> Cost:
    """Prefill takes the last token's logits only; validation takes all, on one source or more.

    ``both_ways``: lengths that are read twice.
    """
    shape = base_shape(params)
    if shape is None:
        return unknown(params)
    layers = learned_layers(params, variant, shape)
    parameters = shape.parameters + shape.map_parameters(layers)
    tokens, flops, passes, read = 0, 0.0, 0.0, 0.0
    for length, count, new_tokens in cells(params):
        samples = count * (1 + (length in both_ways))
        batch = max(1, layout.eval_batch_tokens // length)
        per_token = shape.flops_per_token(length, FORWARD, layers)
        tokens += samples * length
        flops += samples * length * (per_token - FORWARD * shape.head_parameters)
        flops += samples * new_tokens * per_token
        steps = samples * new_tokens / batch
        passes += steps
        read += 2 * steps * parameters + samples * new_tokens * length * shape.cache_bytes
    sources = max(1, len(params.corpus.names))
    for length in (*params.benchmarks.lengths, *both_ways):
        windows = sources * params.evaluate.perplexity_tokens
        tokens += windows
        flops += windows * shape.flops_per_token(length, FORWARD, layers)
    return Cost(
        tokens=tokens,
        flops=flops,
        parameters=parameters,
        decode_passes=passes,
        decode_bytes=read,
        core_flops=core_flops(shape.width, params.train.precision == "bf16" and fast_bf16()),
        disk_bytes=2000.0 * sum(cell.samples for cell in cells(params)),
    )
