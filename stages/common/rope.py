"""The rotary parameters of a config.json: one dict, or one per layer type."""

from collections.abc import Mapping
from typing import Any


def rope_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """``rope_parameters`` or the older ``rope_scaling``, of the layers without a window; empty: plain.

    OLMo-3 and Gemma 3 rotate windowed layers otherwise; an extension never touches those.
    """
    found = config.get("rope_parameters") or config.get("rope_scaling") or {}
    if not isinstance(found, dict):
        return {}
    if "full_attention" in found:
        found = found["full_attention"] or {}
    return dict(found)
