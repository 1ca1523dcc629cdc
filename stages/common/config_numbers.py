"""The numbers of a model's config.json against the table of bounds."""

from collections.abc import Mapping
from typing import Any

from stages.common import bounds
from stages.common.rope import parts_of

WHOLE_NUMBERS = ("hidden_size", "num_hidden_layers", "num_attention_heads",
                 "max_position_embeddings", "intermediate_size", "vocab_size")  # fmt: skip
"""What every config.json has."""


def odd_number(config: Mapping[str, Any]) -> str | None:
    """What is wrong with a number of a config.json, in words; none: all of them may be a model's."""
    parts = parts_of(config)
    for name, part in parts.items():
        if not isinstance(part, dict | None):
            return f"{name} is {part!r}, no object"
    given: dict[tuple[str, ...], Any] = {
        (): config,
        **{(name,): part or {} for name, part in parts.items()},
    }
    for place, of in given.items():
        for keys in bounds.table():
            if keys[0] != "config" or ("rope" in keys) != bool(place):
                continue
            value = of.get(keys[-1])
            if value is not None and (
                isinstance(value, bool) or not isinstance(value, int | float)
            ):
                return f"{'.'.join((*place, keys[-1]))} is {value!r}, no number"
    for place, of in given.items():
        plain = {key: value for key, value in of.items() if not isinstance(value, dict)}
        for one in bounds.check("config.rope" if place else "config", plain):
            name = ".".join((*place, one.field.rpartition(".")[2]))
            return f"{name} is {one.value!r}, {one.why}"
    for name in WHOLE_NUMBERS:
        if type(config.get(name)) is not int:
            return f"{name} is {config.get(name)!r}"
    if isinstance(experts := config.get("num_local_experts"), float):  # in no class's annotations
        return f"num_local_experts is {experts!r}, no whole number"
    return None
