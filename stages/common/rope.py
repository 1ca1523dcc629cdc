"""The rotary parameters of a config.json: one dict, or one per layer type."""

from collections.abc import Mapping
from typing import Any

WHOLE = "full_attention"
KINDS = (WHOLE, "sliding_attention")
"""What a layer of the supported families can be."""

THETAS = {"smollm3": 2_000_000.0}
"""``rope_theta`` of the families' classes where config.json has none, if not 10,000."""


def rope_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """``rope_parameters`` or the older ``rope_scaling``, of the layers without a window; empty: plain.

    OLMo-3 and Gemma 3 rotate windowed layers otherwise; an extension never touches those. Where both
    names stand, transformers takes ``rope_scaling`` alone, or lays it over the kind of layer.
    """
    given, older = config.get("rope_parameters"), config.get("rope_scaling")
    if isinstance(given, dict) and WHOLE in given:
        return {**_dict(given[WHOLE]), **_dict(older)}
    found = _dict(older or given)
    return _dict(found[WHOLE]) if WHOLE in found else dict(found)


def contradicted(config: Mapping[str, Any]) -> str | None:
    """A key of ``rope_parameters`` that the model has otherwise, for ``rope_scaling`` is beside it."""
    given, told = _dict(config.get("rope_parameters")), _renamed(config.get("rope_scaling"))
    if not given or not told:
        return None
    if WHOLE in given:
        whole = _renamed(given[WHOLE])
        return next((key for key in told if key in whole and whole[key] != told[key]), None)
    usual = THETAS.get(str(config.get("model_type")), 10_000.0)
    read = {"rope_type": "default", "rope_theta": config.get("rope_theta", usual), **told}
    return next((key for key, value in _renamed(given).items() if read.get(key) != value), None)


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


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _renamed(value: Any) -> dict[str, Any]:
    """With today's name of the type."""
    names = {"type": "rope_type"}
    return {names.get(key, key): item for key, item in _dict(value).items()}
