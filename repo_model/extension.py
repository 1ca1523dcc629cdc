"""Zero-shot YaRN extension (PAPER.md sections 2 and 8).

The official code gives RoPE and RePo layers the YaRN frequencies and its magnitude
`0.1 * ln(factor) + 1` on cos and sin; NoPE layers get neither, and z is not rescaled. The paper's
text speaks of RoPE layers only: `layers="rope"`.
"""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedConfig
from transformers.dynamic_module_utils import custom_object_save

from .configuration_repo import YARN_LAYERS
from .families import family_of
from .formats import read_config
from .loading import check_folder, load
from .recording import base_of
from .rope_settings import extendable, put_extendable
from .yarn import kept, put_factor, set_yarn_factor, trained_length


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


def extend_folder(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    factor: float,
    original: int | None = None,
    *,
    layers: str = "all",
    copy: Callable[[Path, Path], Any] | None = None,
) -> None:
    """What `extend` and `save_pretrained` make of a folder, without reading a weight.

    An extension is in the config alone, so the weights' files are copied: 14 GB at 7 B parameters
    pass through no memory.

    Args:
        source: a folder that `save_pretrained` of a RePo model wrote.
        target: a folder that is made, or is there and empty.
        factor, original, layers: as of `extend`.
        copy: gives a file of weights its place in `target`, `os.link` where both are on one disk.
            Default: a copy of its bytes.

    Raises:
        ValueError: as `extend` and `load`; also a folder of another kind, whose weights have other
            names.
        OSError: the folder does not exist, or a file cannot be copied.
    """
    _change_folder(
        Path(source),
        Path(target),
        lambda model: extend(model, factor, original, layers=layers),
        copy,
    )


def rescale_folder(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    yarn_factor: float,
    *,
    copy: Callable[[Path, Path], Any] | None = None,
) -> None:
    """What `load(source, yarn_factor=...)` and `save_pretrained` make, without reading a weight.

    For other software, which reads an extended folder with the factor of its config.json.

    Args:
        source: a folder that `save_pretrained` of an extended RePo model wrote.
        target, copy: as of `extend_folder`.
        yarn_factor: length multiple; 1 gives the unextended model.

    Raises:
        ValueError: as `load`; also a folder of another kind, whose weights have other names.
        OSError: the folder does not exist, or a file cannot be copied.
    """
    _change_folder(
        Path(source), Path(target), lambda model: set_yarn_factor(model.config, yarn_factor), copy
    )


def _change_folder(
    source: Path,
    target: Path,
    change: Callable[[Any], Any],
    copy: Callable[[Path, Path], Any] | None,
) -> None:
    """Write ``target`` as ``source`` with what ``change`` does to the model's config, same weights."""
    check_folder(source)
    raw, _ = PreTrainedConfig.get_config_dict(str(source))
    family = family_of(raw["model_type"])
    if not str(raw["model_type"]).startswith("repo_"):
        raise ValueError(
            f"{source}: model_type={raw['model_type']!r} is no saved RePo model; load it"
        )
    with torch.device("meta"):
        model = family.causal_lm(read_config(raw))
    change(model)
    target.mkdir(parents=True, exist_ok=True)
    custom_object_save(model, target, config=model.config)
    model.config.save_pretrained(target)
    for file in sorted(source.iterdir()):
        if file.name.endswith((".safetensors", ".safetensors.index.json")):
            (copy or shutil.copyfile)(file, target / file.name)
        elif file.name == "generation_config.json":
            shutil.copyfile(file, target / file.name)


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
