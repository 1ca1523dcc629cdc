"""`load`: any supported checkpoint to a RePo model, complete or not at all."""

import json
import logging
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import PreTrainedConfig

from .attention import PositionMap
from .families import family_of
from .family_classes import MAP_INIT_STD
from .formats import read_config
from .position_types import layer_types
from .stored import common_dtype, stored_dtypes
from .yarn import set_yarn_factor

HUB_KEYS = ("cache_dir", "force_download", "local_files_only", "revision", "subfolder", "token")
MAP_NAME = re.compile(r"\.layers\.(\d+)\.self_attn\.(?:gate|content|final)_map\.weight$")


def load(
    path_or_id: str | os.PathLike[str],
    positions: str | Iterable[str] | None = None,
    start_layer: int | None = None,
    layers: Iterable[int] | None = None,
    *,
    yarn_factor: float | None = None,
    map_std: float = MAP_INIT_STD,
    **from_pretrained: Any,
) -> Any:
    """Load an own, official RePo or plain backbone checkpoint as a RePo model in eval mode.

    Args:
        path_or_id: folder or hub id with a config.json and safetensors.
        positions: a preset or one type per layer (see `layer_types`); layers that become `repo`
            get freshly initialised maps (seed torch first). Default: what the checkpoint says, and
            `rope` for a plain backbone.
        start_layer, layers: with `positions="repo"` only.
        map_std: standard deviation of freshly initialised maps, cut at three of it; the paper's 0.02.
        yarn_factor: another factor for an extended checkpoint; 1 loads it unextended.
        **from_pretrained: for transformers' `from_pretrained` (dtype, device_map, revision, ...).
            Default dtype: that of the stored weights (fp32 if several), whatever config.json says.

    Raises:
        ValueError: unsupported format or position type, missing or unexpected weights, pickled or
            damaged weight files. One line each.
        OSError: the folder or hub id does not exist.
    """
    path_or_id = os.fspath(path_or_id)
    if Path(path_or_id).is_dir():
        check_folder(Path(path_or_id) / from_pretrained.get("subfolder", ""))
    hub = {key: from_pretrained[key] for key in HUB_KEYS if key in from_pretrained}
    raw, _ = PreTrainedConfig.get_config_dict(path_or_id, **hub)
    config = read_config(raw)
    stored = config.positions
    if positions is not None:
        config.positions = layer_types(positions, config.num_hidden_layers, start_layer, layers)
    elif start_layer is not None or layers is not None:
        raise ValueError("start_layer and layers need positions='repo'")
    if yarn_factor is not None:
        set_yarn_factor(config, yarn_factor)
    stored_as = common_dtype(stored_dtypes(path_or_id, **hub))
    if stored_as is not None and not {"dtype", "torch_dtype"} & from_pretrained.keys():
        # transformers would take the dtype that config.json names, and round fp32 weights to it.
        from_pretrained["dtype"] = stored_as
    model_class = family_of(raw["model_type"]).causal_lm
    options = {
        "use_safetensors": True,
        "output_loading_info": True,
        "ignore_mismatched_sizes": True,
    }
    try:
        with _no_loading_report():
            model, info = model_class.from_pretrained(
                path_or_id, config=config, **options, **from_pretrained
            )
    except SafetensorError as error:
        raise ValueError(
            f"{path_or_id}: a weight file is damaged or cut short ({error})"
        ) from error
    fresh = {
        i
        for i, (old, new) in enumerate(zip(stored, config.positions, strict=True))
        if new == "repo" != old
    }
    _check_complete(path_or_id, info, fresh)
    if map_std != MAP_INIT_STD:
        _scale_maps(model, fresh, map_std / MAP_INIT_STD)
    return model


@torch.no_grad()
def _scale_maps(model: Any, layers: set[int], factor: float) -> None:
    for i in layers:
        for module in model.model.layers[i].self_attn.modules():
            if isinstance(module, PositionMap):
                module.weight.mul_(factor)


@contextmanager
def _no_loading_report() -> Iterator[None]:
    """transformers warns of what it makes up for; here each such case is an error or asked for."""
    logger = logging.getLogger("transformers.modeling_utils")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def check_folder(folder: Path) -> None:
    """Refuse a folder without a config or with weights that are not all there, in a `ValueError`."""
    if (folder / "adapter_config.json").is_file() and not (folder / "model.safetensors").is_file():
        raise ValueError(
            f"{folder}: an adapter without its base model; merge the two (peft: merge_and_unload) "
            "and save the result"
        )
    if not (folder / "config.json").is_file():
        raise ValueError(f"{folder}: no config.json; not a model folder")
    names = [entry.name for entry in folder.iterdir()]
    if not any(name.endswith((".safetensors", ".safetensors.index.json")) for name in names):
        pickles = sorted(n for n in names if n.endswith((".bin", ".pt", ".pth", ".ckpt")))
        found = f"only pickled weights ({pickles[0]})" if pickles else "no weights"
        raise ValueError(
            f"{folder}: {found}; safetensors are needed, pickles run code and are not read"
        )
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        shards = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        if missing := sorted(shards - set(names)):
            raise ValueError(
                f"{folder}: {len(missing)} weight files are missing, first {missing[0]}"
            )


def _check_complete(path_or_id: str, info: dict[str, Any], fresh_layers: set[int]) -> None:
    """Nothing missing but the maps of layers made `repo` now, nothing unexpected or misshapen."""
    for key, found, needed in sorted(info["mismatched_keys"]):
        raise ValueError(
            f"{path_or_id}: {key} has shape {list(found)}, the model needs {list(needed)}"
        )
    missing = []
    for key in sorted(info["missing_keys"]):
        found = MAP_NAME.search(key)
        if not found or int(found[1]) not in fresh_layers:
            missing.append(key)
    unexpected = sorted(info["unexpected_keys"])
    if missing:
        raise ValueError(f"{path_or_id}: {len(missing)} weights are missing, first {missing[0]}")
    if unexpected:
        hint = "; its config.json hides learned positions" if MAP_NAME.search(unexpected[0]) else ""
        raise ValueError(
            f"{path_or_id}: {len(unexpected)} weights are unexpected, first {unexpected[0]}{hint}"
        )
