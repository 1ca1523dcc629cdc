"""Reading and changing `rope_parameters`, which is one dict, or one for each type of layer.

Families with a sliding window may rotate their windowed layers otherwise than the others (OLMo-3,
Gemma 3). Such layers never see further than their window, so an extension leaves them alone, as the
stock configurations do: it changes `full_attention` only.
"""

from collections.abc import Callable
from typing import Any

WHOLE, SLIDING = "full_attention", "sliding_attention"
Rope = dict[str, Any]


def nested(rope: Rope) -> bool:
    """Whether the parameters stand by layer type."""
    return WHOLE in rope or SLIDING in rope


def each(rope: Rope, change: Callable[[Rope], Rope]) -> Rope:
    """The parameters with `change` applied to the one dict, or to every layer type's.

    What else stands beside the layer types, as older versions wrote it, is read by no class.
    """
    if not nested(rope):
        return change(rope)
    return {key: change(value) if isinstance(value, dict) else value for key, value in rope.items()}


def of_layer_type(config: Any, layer_type: str) -> Rope:
    """The parameters of the layers of one type."""
    rope: Rope = config.rope_parameters
    return rope[layer_type] if nested(rope) else rope


def extendable(config: Any) -> Rope:
    """The parameters that an extension reads and changes."""
    return of_layer_type(config, WHOLE)


def put_extendable(config: Any, rope: Rope) -> None:
    """Write the parameters of `extendable` back into `config`."""
    whole = config.rope_parameters
    config.rope_parameters = {**whole, WHOLE: rope} if nested(whole) else rope
