"""Models of this project's families by ``repo_model``, all others by transformers alone."""

import os
from pathlib import Path
from typing import Any

from transformers.utils import logging as transformers_logging

from stages.common.config_numbers import odd_number
from stages.common.errors import UserError
from stages.common.models import load_model, one_line
from stages.common.shape import FAMILIES
from stages.evaluate.models import extension, settings


def scale_softmax(model: Any, scale: float) -> None:
    """Multiply the attention logits of every layer by ``scale``, in place.

    Raises ``UserError`` where the layers do not tell the factor they use (``scaling``, as transformers
    names it).
    """
    if scale == 1.0:
        return
    attention = [module for module in model.modules() if hasattr(module, "scaling")]
    if not attention:
        raise UserError(
            f"softmax_scale is {scale:g}, but {type(model).__name__} has no `scaling` to change"
        )
    for module in attention:
        module.scaling *= scale


def load_any(folder: Path, field: str, yarn_factor: float | None, dtype: Any) -> Any:
    """A causal model in eval mode; what is wrong with it is one line that names ``field``.

    A plain checkpoint is read by transformers' own class, unless it is to be extended.
    """
    config = settings(folder)
    family = str(config.get("model_type")).removeprefix("repo_")
    if family in FAMILIES and (odd := odd_number(config)):
        raise UserError(f"{field}: config.json: {odd}; copy the model's files again")
    own = str(config.get("model_type")).startswith("repo_") or "pe_config" in config
    if not own and yarn_factor in (None, 1.0):
        return _plain(folder, field, dtype)
    if extension(config):
        return load_model(folder, field, yarn_factor=yarn_factor, dtype=dtype)
    model = load_model(folder, field, dtype=dtype)
    if yarn_factor in (None, 1.0):
        return model
    import repo_model

    with one_line(f"{field}: --yarn x{yarn_factor:g}"):  # frequencies that are scaled already
        return repo_model.extend(model, yarn_factor)


def _plain(folder: Path, field: str, dtype: Any) -> Any:
    """Code of a checkpoint's own runs only where ``REPO_TRUST_REMOTE_CODE`` is 1."""
    from transformers import AutoModelForCausalLM

    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()
    with one_line(field):
        model, info = AutoModelForCausalLM.from_pretrained(
            folder,
            dtype=dtype,
            trust_remote_code=os.environ.get("REPO_TRUST_REMOTE_CODE") == "1",
            output_loading_info=True,
        )
    if missing := sorted(info["missing_keys"]):
        raise UserError(f"{field}: {len(missing)} weights are missing, first {missing[0]}")
    if hidden := sorted(key for key in info["unexpected_keys"] if "_map.weight" in key):
        raise UserError(
            f"{field}: {len(hidden)} weights of learned positions ({hidden[0]}), which its "
            "config.json does not name; restore pe_config or auto_map"
        )
    return model
