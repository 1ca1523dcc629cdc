"""The YaRN factor of a configuration; `extension.py` extends a model."""

from typing import Any

from .rope_settings import extendable, put_extendable

KEPT = ("rope_theta", "partial_rotary_factor")
"""What a layer's parameters keep whether extended or not."""
RECORD = "repo_training"
"""Key of a configuration: what training left there (`trained_length`, `window`, in tokens)."""


def trained_length(config: Any) -> int:
    """The length that was trained, in tokens: as recorded, else the window."""
    recorded = getattr(config, RECORD, None) or {}
    return int(recorded.get("trained_length", config.max_position_embeddings))


def set_yarn_factor(config: Any, factor: float) -> None:
    """Change the factor of an extended configuration, in place; 1 gives the unextended one.

    Raises:
        ValueError: the configuration is not extended, or the factor is below 1.
    """
    rope = extendable(config)
    if rope["rope_type"] != "yarn":
        raise ValueError(
            "yarn_factor needs an extended checkpoint; extend this one with repo_model.extend"
        )
    original = rope["original_max_position_embeddings"]
    if factor == 1:
        plain = {"rope_type": "default", **kept(rope)}
        put_extendable(config, rope.get("base_scaling") or plain)
        config.max_position_embeddings = _window(config, original)
    else:
        put_factor(config, factor, original)


def kept(rope: dict[str, Any]) -> dict[str, Any]:
    """The part of a layer's parameters that no extension changes."""
    return {key: rope[key] for key in KEPT if key in rope}


def put_factor(config: Any, factor: float, original: int) -> None:
    """Write a YaRN factor and the window it gives into ``config``; ``ValueError`` unless above 1."""
    if not factor > 1:
        raise ValueError(f"factor={factor} must be above 1")
    if hasattr(config, "original_max_position_embeddings"):
        # Phi-3 has it beside the parameters, and transformers prefers it to theirs.
        config.original_max_position_embeddings = int(original)
    put_extendable(config, {**extendable(config), "factor": float(factor)})
    config.max_position_embeddings = int(original * factor)


def _window(config: Any, original: int) -> int:
    """What the model read before it was extended: a base's window can be wider than `original`."""
    recorded = getattr(config, RECORD, None) or {}
    return int(recorded.get("window", original))
