"""Telling checkpoint formats apart by their config.json: own, official RePo, plain backbone.

The official format is a stock OLMo-2 configuration with a `pe_config` beside it (PAPER.md section
6). Its model reads the misspelt keys (`dynmaic_*`), so where both spellings are present and
disagree, the misspelt one is what the checkpoint was trained with.
"""

import logging
from typing import Any

import torch

from .families import family_of
from .position_types import layer_types

logger = logging.getLogger(__name__)

OFFICIAL_MODES = {"none": "rope", "nope": "nope", "swigluex_multihead": "repo"}


def read_config(raw: dict[str, Any]) -> Any:
    """The RePo configuration of a checkpoint from its config.json, whatever its format.

    Raises:
        ValueError: a family or official position mode that is not supported.
    """
    model_type = raw.get("model_type")
    family = family_of(model_type)
    _check_trainable(raw)
    raw = _with_known_dtype(raw)
    if model_type == family.config.model_type:
        return family.config.from_dict(dict(raw))
    stock = {
        k: v
        for k, v in raw.items()
        if k not in ("model_type", "architectures", "auto_map", "pe_config")
    }
    positions = (
        official_positions(raw["pe_config"], raw["num_hidden_layers"])
        if raw.get("pe_config")
        else "rope"
    )
    return family.config.from_dict({**stock, "positions": positions})


def _with_known_dtype(raw: dict[str, Any]) -> dict[str, Any]:
    """Without a dtype that torch does not know by that name; `torch.bfloat16` is bfloat16."""
    raw = dict(raw)
    for key in ("dtype", "torch_dtype"):
        if isinstance(name := raw.get(key), str):
            raw[key] = name.removeprefix("torch.")
            if not isinstance(getattr(torch, raw[key], None), torch.dtype):
                del raw[key]
    return raw


def _check_trainable(raw: dict[str, Any]) -> None:
    """Refuse quantised weights, and frequencies that change with the length of the input."""
    if raw.get("quantization_config") or raw.get("compression_config"):
        method = (raw.get("quantization_config") or {}).get("quant_method", "compressed")
        raise ValueError(
            f"quantization_config: the weights are quantised ({method}); take the unquantised model"
        )
    rope = raw.get("rope_parameters") or {}
    given = [rope, raw.get("rope_scaling"), *rope.values()]
    for part in given:
        kind = (part.get("rope_type") or part.get("type")) if isinstance(part, dict) else None
        long = isinstance(part, dict) and "long_factor" in part
        if long or kind in ("dynamic", "longrope", "su"):
            kind = "longrope" if long else kind
            raise ValueError(
                f"rope_type={kind!r} changes the frequencies with the length of the input, which "
                "learned positions cannot follow; take a base without (default, linear, llama3)"
            )


def official_positions(pe_config: dict[str, Any], num_layers: int) -> list[str]:
    """One position type per layer from an official `pe_config`.

    Raises:
        ValueError: a mode that the official code runs as something else (mostly plain RoPE).
    """
    mode = pe_config.get("dynamic_pe_mode", "none")
    if mode not in OFFICIAL_MODES:
        raise ValueError(
            f"pe_config.dynamic_pe_mode={mode!r} is not supported; "
            f"supported: {', '.join(OFFICIAL_MODES)}"
        )
    if mode == "none":
        return layer_types("rope", num_layers)
    start = int(_either_spelling(pe_config, "pe_start_layer", 0))
    layers = _layer_ids(_either_spelling(pe_config, "pe_layer_ids", ""))
    types = layer_types("repo", num_layers, start_layer=start, layers=layers)
    return [OFFICIAL_MODES[mode] if t == "repo" else t for t in types]


def _layer_ids(ids: Any) -> list[int] | None:
    """The layers of a comma list; None (all from the start layer on) for an empty one."""
    try:
        return [int(i) for i in str(ids or "").strip("[] ").split(",") if i.strip()] or None
    except ValueError:
        raise ValueError(f"pe_config.dynamic_pe_layer_ids={ids!r} is not a comma list") from None


def _either_spelling(pe_config: dict[str, Any], key: str, default: Any) -> Any:
    misspelt, correct = f"dynmaic_{key}", f"dynamic_{key}"
    if misspelt not in pe_config:
        return pe_config.get(correct, default)
    if correct in pe_config and pe_config[correct] != pe_config[misspelt]:
        logger.warning(
            "pe_config: %s=%r and %s=%r disagree; the misspelt key wins, as in the official code",
            misspelt,
            pe_config[misspelt],
            correct,
            pe_config[correct],
        )
    return pe_config[misspelt]
