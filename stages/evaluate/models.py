"""Which model reads a length: the trained one, or an extended one with that length's factor.

The trained length is what ``train`` recorded in the model's folder, whatever window the base has.
Lengths beyond it are read with YaRN. Those of them that the base's own window still holds are read
plain as well: which of the two is better is measured, not assumed.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from stages.common import paths, trained
from stages.common.errors import UserError
from stages.common.files import read_json, sha256
from stages.common.rope import rope_of
from stages.evaluate.shards import Model

_WINDOWS = ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length", "n_ctx")
"""What the families call the window in their config.json."""


class Models:
    """A trained model: in ``models/<item>``, and extended in ``models/<item>-extended``."""

    def __init__(
        self, item: str, softmax_scale: Callable[[int], float] = lambda length: 1.0
    ) -> None:
        self._softmax_scale = softmax_scale
        self.folder = paths.model(item)
        self._model, self._extended = identified(self.folder), identified(paths.extended(item))
        self.trained = trained.of_folder(self.folder)
        config = settings(paths.extended(item))
        self._reach = int(config["max_position_embeddings"])
        self.extension = {
            "layers": config.get("yarn_layers", "all"),
            "steps": int(config.get("extension_steps") or 0),
        }
        self._own_factor = None
        if config.get("extension_steps") and (rope := extension(config)):
            self._own_factor = float(rope["factor"])

    def at(self, length: int) -> Model:
        """The model for a length in tokens; refuses one beyond the extended window."""
        scale = self._softmax_scale(length)
        if length <= self.trained.length:
            return replace(self._model, softmax_scale=scale)
        if length > self._reach:
            raise UserError(
                f"benchmarks.lengths: {length} is beyond the window of {self._extended.folder}, "
                f"{self._reach} tokens; raise extend.factor or drop the length"
            )
        # A fine-tuned extension was trained with its factor; a zero-shot one takes the length's.
        factor = self._own_factor or length / self.trained.length
        return Model(self._extended.folder, self._extended.sha256, factor, scale)

    def plain(self, length: int) -> Model | None:
        """The unextended model beyond its trained length, where the base's window holds it."""
        if not self.trained.length < length <= self.trained.window:
            return None
        return replace(self._model, softmax_scale=self._softmax_scale(length))


class Base:
    """``models/base``, which has no extended copy: YaRN is put on when it is loaded."""

    def __init__(self) -> None:
        self.folder = paths.BASE
        self._model = identified(self.folder)
        self.extension = {"layers": "all", "steps": 0}
        self.trained = trained.of_folder(self.folder)

    def at(self, length: int) -> Model:
        """The model for a length in tokens: with the length's factor beyond the trained length."""
        if length <= self.trained.length:
            return self._model
        return Model(self._model.folder, self._model.sha256, length / self.trained.length)

    def plain(self, length: int) -> Model | None:
        """As ``Models.plain``."""
        return self._model if self.trained.length < length <= self.trained.window else None


def weights_sha256(folder: Path) -> str:
    """Hash of a model's weights: of its safetensors file, or of them all in order."""
    files = sorted(folder.glob("*.safetensors")) or sorted(folder.glob("pytorch_model*.bin"))
    if not files:
        raise UserError(f"{folder}: no weights (safetensors) in it; is it a model's folder?")
    if len(files) == 1:
        return sha256(files[0])
    return hashlib.sha256("\n".join(sha256(file) for file in files).encode()).hexdigest()


def identified(folder: Path) -> Model:
    """A model folder with the hash of its config and weights."""
    identity = f"{sha256(_config_file(folder))} {weights_sha256(folder)}"
    return Model(folder.as_posix(), hashlib.sha256(identity.encode()).hexdigest())


def settings(folder: Path) -> dict[str, Any]:
    """A model folder's config.json."""
    content = read_json(_config_file(folder))
    if not isinstance(content, dict):
        raise UserError(f"{folder}/config.json: not a JSON object")
    return content


def extension(config: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The YaRN settings of a config; none where the model is not extended."""
    rope = rope_of(config)
    # repo_model hides the type from loaders that would ignore learned positions.
    kinds = [rope.get(name) for name in ("rope_type", "type", "stock_rope_type")]
    return rope if "yarn" in kinds else None


def window(config: Mapping[str, Any]) -> int | None:
    """Tokens a model says it reads; none where its config does not say."""
    for name in _WINDOWS:
        if isinstance(config.get(name), int):
            return int(config[name])
    return None


def trained_window(config: Mapping[str, Any]) -> int | None:
    """Tokens a model was trained to read: as recorded, else what it reads without extension."""
    if trained.KEY in config or extension(config):
        return trained.of_config(config).length
    return window(config)


def _config_file(folder: Path) -> Path:
    file = folder / "config.json"
    if not file.is_file():
        raise UserError(f"{file}: no such file; is it a model's folder?")
    return file
