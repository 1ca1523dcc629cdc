"""The trained length of a model: a fact that training leaves in config.json.

``max_position_embeddings`` is the window that the base promised. A base with a window of 131,072 that
was trained on at 256 has seen nothing longer than 256 since: YaRN extends from there. The record is
a key of the configuration, so loading and saving keep it, also with stock transformers. No torch
here: the evaluation's driver starts without it.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from stages.common.errors import UserError
from stages.common.files import read_json, write_json
from stages.common.rope import rope_of

KEY = "repo_training"
"""``repo_model.yarn`` reads the same key."""
FORMAT = 1
"""Of the record; a folder with another one is refused by name."""


class Trained(NamedTuple):
    """What a model was trained at, in tokens."""

    length: int
    """The longest sequence of its last training; where nothing is recorded, the window."""
    window: int
    """What the model read before any extension."""
    recorded: bool
    """False: an older folder or somebody else's; its window stands for the trained length."""

    def said(self) -> str:
        """``the trained length of 256 tokens``, or that it is the window and why."""
        if self.recorded:
            return f"the trained length of {self.length:,} tokens"
        return f"the window of {self.length:,} tokens, for no trained length is recorded"


def of_config(config: Mapping[str, Any]) -> Trained:
    """Read a config.json's content; ``UserError`` at a later format, or where it names no window."""
    found = config.get(KEY)
    if found:
        if found.get("format") != FORMAT:
            raise UserError(
                f"config.json: {KEY} has format {found.get('format')!r}, this code reads {FORMAT}; "
                "take the code that made the folder"
            )
        return Trained(int(found["trained_length"]), int(found["window"]), True)
    rope = rope_of(config)
    window = rope.get("original_max_position_embeddings") or config.get("max_position_embeddings")
    if not isinstance(window, int):
        raise UserError("config.json names neither a trained length nor a window")
    return Trained(window, window, False)


def of_folder(folder: Path) -> Trained:
    """The same of a model's folder."""
    try:
        return of_config(read_json(folder / "config.json"))
    except UserError as error:
        text = str(error)
        raise UserError(text if text.startswith(str(folder)) else f"{folder}/{text}") from None


def record(folder: Path, length: int, factor: float = 1.0, tuned: int | None = None) -> None:
    """Write the record into the config.json of ``folder``.

    ``length``: longest sequence that was trained on, in tokens. ``factor``: YaRN's, 1 for none.
    ``tuned``: longest sequence of a training after the extension; none: zero-shot.
    """
    config = read_json(folder / "config.json")
    found = {
        "format": FORMAT,
        "trained_length": length,
        "window": of_config(config).window,
        "factor": float(factor),
        "tuned_length": tuned,
    }
    write_json(folder / "config.json", {**config, KEY: found})
