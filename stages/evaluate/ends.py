"""The tokens that end an answer: the tokenizer's own end, and all that the model's folder names.

Chat models end a turn by another token than a text (Llama-3's ``<|eot_id|>``, Gemma's
``<end_of_turn>``); ``generate`` ends at every id of ``generation_config.json``, and so does each engine
here. Text behind the real end would lower F1 and ROUGE.
"""

from collections.abc import Sequence
from pathlib import Path

from stages.common.tokenizer_file import settings

Ends = int | Sequence[int]
"""One id or several, as transformers takes ``eos_token_id``; the first one is used for padding."""


def ids(ends: Ends) -> tuple[int, ...]:
    """All of them, once each, in their order."""
    return tuple(dict.fromkeys([ends] if isinstance(ends, int) else ends))


def of_folder(folder: Path, eos_id: int) -> tuple[int, ...]:
    """``eos_id`` and what ``generation_config.json`` names, else ``config.json``."""
    for name in ("generation_config.json", "config.json"):
        value = settings(folder / name).get("eos_token_id")
        found = value if isinstance(value, list) else [value]
        named = [i for i in found if isinstance(i, int) and not isinstance(i, bool)]
        if named:
            return ids([eos_id, *named])
    return (eos_id,)
