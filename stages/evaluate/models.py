"""Which model reads a length: the trained one, or the extended one with that length's factor."""

import hashlib
from pathlib import Path

from stages.common import paths
from stages.common.errors import UserError
from stages.common.files import read_json, sha256
from stages.evaluate.shards import Model


class Models:
    """The trained, the extended and the base model of one job."""

    def __init__(self, item: str) -> None:
        self.trained = _model(paths.model(item))
        self.base = _model(paths.BASE)
        self._extended = _model(paths.extended(item))
        self.trained_tokens = _window(paths.model(item))
        self._window = _window(paths.extended(item))

    def at(self, length: int) -> Model:
        """The model for a length in tokens; refuses one beyond the extended window."""
        if length <= self.trained_tokens:
            return self.trained
        if length > self._window:
            raise UserError(
                f"benchmarks.lengths: {length} is beyond the window of {self._extended.folder}, "
                f"{self._window} tokens; raise extend.factor or drop the length"
            )
        factor = length / self.trained_tokens
        return Model(self._extended.folder, self._extended.sha256, factor)


def weights_sha256(folder: Path) -> str:
    """Hash of a model's weights: of its safetensors file, or of them all in order."""
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise UserError(f"{folder}: no safetensors; run the stage that makes it")
    if len(files) == 1:
        return sha256(files[0])
    return hashlib.sha256("\n".join(sha256(file) for file in files).encode()).hexdigest()


def _model(folder: Path) -> Model:
    identity = f"{sha256(_config_file(folder))} {weights_sha256(folder)}"
    return Model(folder.as_posix(), hashlib.sha256(identity.encode()).hexdigest())


def _window(folder: Path) -> int:
    """Tokens a model says it reads."""
    return int(read_json(_config_file(folder))["max_position_embeddings"])


def _config_file(folder: Path) -> Path:
    file = folder / "config.json"
    if not file.is_file():
        raise UserError(f"{file}: no such file; run the stage that makes it")
    return file
