"""What a variant costs, counted from shapes: nothing here was measured (that is execution.html)."""

from collections.abc import Mapping
from typing import Any

from stages.common.cost import base_shape, learned_layers
from stages.common.shape import FORWARD, TRAINING
from stages.params import Params
from stages.report.formats import NONE, label
from stages.report.tables import Table, plain


def costs(params: Params) -> dict[str, Any]:
    """By variant: parameters, FLOPs a token of training and of reading, bytes of cache a token.

    Empty where the base's shape is not known without its files.
    """
    shape = base_shape(params)
    if shape is None:
        return {}
    found = {}
    for variant in params.variants:
        layers, length = learned_layers(params, variant, shape), params.train_of(variant).longest
        found[variant] = {
            "learned_layers": layers,
            "parameters": shape.parameters + shape.map_parameters(layers),
            "map_parameters": shape.map_parameters(layers),
            "length": length,
            "training_flops": round(shape.flops_per_token(length, TRAINING, layers)),
            "reading_flops": round(shape.flops_per_token(length, FORWARD, layers)),
            "cache_bytes": shape.cache_bytes,  # keys are kept rotated, no position beside them
        }
    return found


def table(metrics: Mapping[str, Any]) -> Table | None:
    """A row a variant, with what is more than the reference's in percent."""
    found = metrics["costs"]
    if not found:
        return None
    base = found.get(metrics["reference"]) or next(iter(found.values()))

    def shown(variant: str, name: str) -> str:
        value, other = found[variant][name], base[name]
        more = f" ({100 * (value / other - 1):+.1f} %)".replace("-", "−") if value != other else ""
        return f"{value:,}{more}"

    names = ("parameters", "training_flops", "reading_flops", "cache_bytes")
    rows = [
        (label(v), [f"{found[v]['learned_layers']}", *(shown(v, n) for n in names)]) for v in found
    ]
    length = base["length"]
    return plain(
        "Counted from the shapes, not measured: parameters, FLOPs for a token of training and of "
        f"reading at {length:,} tokens, bytes of keys and values kept for a token "
        "(bf16; keys are kept rotated). In brackets: more than the reference.",
        ["variant", "layers that learn positions", *("parameters", "training FLOPs a token"),
         "reading FLOPs a token", "cache bytes a token"],
        rows or [(NONE, ())],
    )  # fmt: skip
