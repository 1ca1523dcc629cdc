"""Text to token ids and back, with the place of every token in the text."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from pathlib import Path

from tokenizers import Tokenizer

from stages.common.errors import UserError

Span = tuple[int, int]


class Encoder:
    """A model's tokenizer without transformers' wrapper, whose import alone takes seconds."""

    def __init__(self, folder: Path) -> None:
        file = folder / "tokenizer.json"
        if not file.is_file():
            raise UserError(f"{file}: no such file; a fast tokenizer's folder is needed")
        self._tokenizer = Tokenizer.from_file(str(file))
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()

    def ids(self, text: str) -> list[int]:
        """Token ids of ``text``, no special tokens added (as RULER counts)."""
        return list(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def text(self, ids: Sequence[int]) -> str:
        """Text of ``ids``, special tokens skipped."""
        return str(self._tokenizer.decode(list(ids), skip_special_tokens=True))

    def count(self, text: str) -> int:
        """Number of tokens of ``text``."""
        return len(self._tokenizer.encode(text, add_special_tokens=False))

    def locate(self, text: str) -> "Located":
        """Token ids of ``text`` with their places."""
        encoding = self._tokenizer.encode(text, add_special_tokens=False)
        return Located(list(encoding.ids), list(encoding.offsets))


class Located:
    """Token ids of a text; finds the tokens that cover a range of its characters."""

    def __init__(self, ids: list[int], offsets: list[Span]) -> None:
        self.ids = ids
        self._starts = [start for start, _ in offsets]
        self._ends = [end for _, end in offsets]

    def span(self, start: int, end: int) -> Span:
        """Half-open token range that covers the characters ``start`` to ``end``."""
        return bisect_right(self._ends, start), bisect_left(self._starts, end)
