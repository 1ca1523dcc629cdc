"""The numbers of a model's config.json against the table of bounds."""

from collections.abc import Mapping
from typing import Any

from stages.common import bounds
from stages.common.rope import rope_of

WHOLE_NUMBERS = ("hidden_size", "num_hidden_layers", "num_attention_heads",
                 "max_position_embeddings", "intermediate_size", "vocab_size")  # fmt: skip
"""What every config.json has."""


def odd_number(config: Mapping[str, Any]) -> str | None:
    """What is wrong with a number of a config.json, in words; none: all of them may be a model's."""
    for name in ("rope_parameters", "rope_scaling"):
        if not isinstance(config.get(name) or {}, dict):
            return f"{name} is {config[name]!r}, no object"
    rope = rope_of(config)
    for keys in bounds.table():
        of = rope if keys[:2] == ("config", "rope") else config
        value = of.get(keys[-1]) if keys[0] == "config" else None
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
            return f"{'.'.join(keys[1:])} is {value!r}, no number"
    whole = {**config, "rope_parameters": None, "rope_scaling": None}
    found = [*bounds.check("config", whole), *bounds.check("config.rope", rope)]
    for one in found:
        return f"{one.field.removeprefix('config.')} is {one.value!r}, {one.why}"
    for name in WHOLE_NUMBERS:
        if type(config.get(name)) is not int:
            return f"{name} is {config.get(name)!r}"
    return None
