"""The rotary parameters of a config.json: one dict, or one per layer type."""

from collections.abc import Mapping
from typing import Any

KINDS = ("full_attention", "sliding_attention")
"""What a layer of the supported families can be."""


def rope_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """``rope_parameters`` or the older ``rope_scaling``, of the layers without a window; empty: plain.

    OLMo-3 and Gemma 3 rotate windowed layers otherwise; an extension never touches those.
    """
    found = config.get("rope_parameters") or config.get("rope_scaling") or {}
    if not isinstance(found, dict):
        return {}
    if "full_attention" in found:
        found = found["full_attention"] or {}
    return dict(found) if isinstance(found, dict) else {}


def parts_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """Every set of rotary parameters by its name in config.json, whatever stands there."""
    parts: dict[str, Any] = {}
    for name in ("rope_parameters", "rope_scaling"):
        found = config.get(name)
        if isinstance(found, dict) and (kinds := [kind for kind in KINDS if kind in found]):
            parts |= {f"{name}.{kind}": found[kind] for kind in kinds}
        elif found:
            parts[name] = found
    return parts
