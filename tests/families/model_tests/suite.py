"""The test classes, `Stock_FAMILY` and `Ours_FAMILY`; run by `__main__.py`, not collected by itself."""

import copy
import unittest
from typing import Any

import torch
from transformers.models.auto import modeling_auto
from transformers_tests.test_modeling_common import (  # type: ignore[import-not-found]
    GenerationTesterMixin,
    ModelTesterMixin,
    ids_tensor,
)

from repo_model.families import FAMILIES
from tests.families.rows import BASE, EXPERTS, GEMMA, MIXTURE, TYPES

WINDOWS = {"sliding_window": 32, "layer_types": TYPES[:2]}
"""Wider than the inputs: for narrower ones some tests expect shapes that stock caches do not have."""
SIZES: dict[str, Any] = {
    **BASE, "vocab_size": 99, "num_hidden_layers": 2, "max_position_embeddings": 512,
    "pad_token_id": 0, "eos_token_id": None, "initializer_range": 0.02,
}  # fmt: skip
ODD: dict[str, dict[str, Any]] = {
    "olmo3": WINDOWS, "mistral": {"sliding_window": None}, "smollm3": {"no_rope_layers": [1, 0]},
    "gemma2": {**GEMMA, **WINDOWS}, "gemma3_text": {**GEMMA, **WINDOWS},
    "olmoe": EXPERTS, "qwen3_moe": MIXTURE,
}  # fmt: skip


class Tester:
    """What the mixins ask of a family's tester: configurations and inputs."""

    batch_size, seq_length, is_training = 13, 7, True

    def __init__(self, parent: Any, config_class: Any, keys: dict[str, Any]) -> None:
        self.parent, self.config_class, self.keys = parent, config_class, keys
        vars(self).update(keys)

    def get_config(self) -> Any:
        """A configuration of its own for every call."""
        return self.config_class(**copy.deepcopy(self.keys))

    def prepare_config_and_inputs_for_common(self) -> tuple[Any, dict[str, torch.Tensor]]:
        """Random ids [13, 7] and a mask with padding on the right."""
        ids = ids_tensor([self.batch_size, self.seq_length], self.vocab_size)
        return self.get_config(), {"input_ids": ids, "attention_mask": torch.ones_like(ids).tril()}


def _stock(ours: type) -> Any:
    return next(c for c in ours.__mro__ if c.__module__.startswith("transformers.models."))


def _case(kind: str, family: str) -> type:
    classes = [FAMILIES[family].config, FAMILIES[family].base, FAMILIES[family].causal_lm]
    keys = {**SIZES, **ODD.get(family, {})}
    if kind == "Stock":
        classes = [_stock(c) for c in classes]
    else:
        keys["positions"] = ["rope", "repo"]

    def set_up(self: Any) -> None:
        self.model_tester = Tester(self, classes[0], keys)

    body = {"all_model_classes": tuple(classes[1:]), "setUp": set_up, "__module__": __name__}
    return type(
        f"{kind}_{family}", (ModelTesterMixin, GenerationTesterMixin, unittest.TestCase), body
    )


for _family, _ours in FAMILIES.items():
    # Where the tests look up whether a class is a base model or has labels.
    modeling_auto.MODEL_MAPPING_NAMES[_ours.config.model_type] = _ours.base.__name__
    modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES[_ours.config.model_type] = (
        _ours.causal_lm.__name__
    )
    for _kind in ("Stock", "Ours"):
        globals()[f"{_kind}_{_family}"] = _case(_kind, _family)
