"""Writing the official RePo format (PAPER.md section 6), for users of the official code.

The weight names are those of this project's OLMo-2, so only the configuration changes.
"""

import json
from pathlib import Path
from typing import Any

from safetensors.torch import save_file

OFFICIAL_STEM = ("pe_start_layer", "pe_layer_ids")


def official_config(config: Any) -> dict[str, Any]:
    """The official config.json of a RePo OLMo-2 configuration.

    Raises:
        ValueError: what the official code cannot express: another family, NoPE beside RePo, GQA
            with RePo (its code breaks on it), a YaRN extension.
    """
    if config.model_type != "repo_olmo2":
        raise ValueError(f"the official format knows OLMo-2 only, not {config.model_type}")
    if config.rope_parameters["rope_type"] != "default":
        raise ValueError(
            "the official format has no YaRN; load with yarn_factor=1 before converting"
        )
    special = sorted(set(config.positions) - {"rope"})
    if len(special) > 1:
        raise ValueError("the official format cannot mix nope and repo layers")
    if special == ["repo"] and config.num_key_value_heads != config.num_attention_heads:
        raise ValueError("the official code breaks on RePo with grouped key/value heads")
    mode = {"repo": "swigluex_multihead", "nope": "nope"}[special[0]] if special else "none"
    chosen = [i for i, position_type in enumerate(config.positions) if position_type != "rope"]
    start = chosen[0] if chosen else 0
    tail = list(range(start, config.num_hidden_layers))
    ids = "" if not chosen or chosen == tail else ",".join(map(str, chosen))
    pe_config: dict[str, Any] = {"dynamic_pe_mode": mode, "model_type": ""}
    for key, value in zip(OFFICIAL_STEM, (start, ids), strict=True):
        pe_config[f"dynamic_{key}"] = pe_config[f"dynmaic_{key}"] = value
    added = (
        "auto_map",
        "positions",
        "yarn_layers",
        "rope_parameters",
        "dtype",
        "transformers_version",
    )
    return {
        **{key: value for key, value in config.to_dict().items() if key not in added},
        "architectures": ["Olmo2ForCausalLM"],
        "model_type": "olmo2",
        "pe_config": pe_config,
        "rope_scaling": None,
        "rope_theta": config.rope_parameters["rope_theta"],
        "torch_dtype": str(config.dtype).removeprefix("torch."),
    }


def save_official(model: Any, folder: Path) -> None:
    """Write config.json, generation_config.json and model.safetensors in the official format.

    Raises:
        ValueError: see `official_config`.
    """
    config = official_config(model.config)
    config["torch_dtype"] = str(model.dtype).removeprefix("torch.")
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(config, indent=2, sort_keys=True) + "\n"
    (folder / "config.json").write_text(text, encoding="utf-8")
    model.generation_config.save_pretrained(folder)
    weights = {name: value.contiguous() for name, value in model.state_dict().items()}
    if config["tie_word_embeddings"]:
        del weights["lm_head.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
