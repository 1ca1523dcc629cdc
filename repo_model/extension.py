"""Zero-shot YaRN extension (PAPER.md sections 2 and 8).

The official code gives RoPE and RePo layers the YaRN frequencies and its magnitude
`0.1 * ln(factor) + 1` on cos and sin; NoPE layers get neither, and z is not rescaled. The paper's
text speaks of RoPE layers only: `layers="rope"`.
"""

import os
from typing import Any

from .configuration_repo import YARN_LAYERS
from .loading import load
from .recording import base_of
from .rope_settings import extendable, put_extendable
from .yarn import kept, put_factor, trained_length


def extend(
    model_or_folder: Any,
    factor: float,
    original: int | None = None,
    *,
    layers: str = "all",
    beta_fast: float = 32,
    beta_slow: float = 1,
    **load_kwargs: Any,
) -> Any:
    """Extend a model to `factor` times its trained length, without training.

    Args:
        model_or_folder: a RePo model (changed in place), or a path or hub id for `repo_model.load`.
        factor: length multiple, > 1; 4 takes 4,096 to 16,384 tokens.
        original: trained length in tokens. Default: as recorded by training, else the window.
        layers: `all` as the official code (RoPE and RePo layers), `rope` as the paper's wording.
        beta_fast, beta_slow: YaRN's ramp, in rotations over the trained length.
        **load_kwargs: for `load`, where a folder is given.

    Returns:
        the model; `save_pretrained` keeps the extension, `load(folder, yarn_factor=...)` changes
        it.

    Raises:
        ValueError: already extended, factor <= 1, or an unknown `layers`.
    """
    if isinstance(model_or_folder, (str, os.PathLike)):
        model_or_folder = load(model_or_folder, **load_kwargs)
    elif load_kwargs:
        raise ValueError(f"{', '.join(load_kwargs)}: only with a folder, not with a model")
    model = model_or_folder
    config = model.config
    check_extendable(config)
    if layers not in YARN_LAYERS:
        raise ValueError(f"layers={layers!r} is unknown; choose one of {', '.join(YARN_LAYERS)}")
    original = trained_length(config) if original is None else original
    if original < 1:
        raise ValueError(f"original={original} must be a length in tokens")
    before = extendable(config)
    rope = {
        "rope_type": "yarn",
        **kept(before),
        "original_max_position_embeddings": int(original),
        "beta_fast": beta_fast,
        "beta_slow": beta_slow,
    }
    if before["rope_type"] != "default":
        rope["base_scaling"] = dict(before)
    put_extendable(config, rope)
    config.yarn_layers = layers
    put_factor(config, factor, original)
    base_of(model).reset_frequencies()
    return model


def check_extendable(config: Any) -> None:
    """Refuse what `extend` cannot extend; call it before anything is trained.

    `llama3` and `linear` bases are extended on top of what they have (`frequencies.py`).

    Raises:
        ValueError: already extended with YaRN.
    """
    rope = extendable(config)
    if rope["rope_type"] == "yarn":
        raise ValueError(
            f"the model is already extended by {rope['factor']:g}; "
            "load it with yarn_factor=... for another factor"
        )
