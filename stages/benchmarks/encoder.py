"""Text to token ids and back, with the place of every token in the text."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tokenizers import Encoding, Tokenizer

from stages.common.errors import UserError
from stages.common.files import read_json

Span = tuple[int, int]


class Encoder:
    """A model's tokenizer without transformers' wrapper, whose import alone takes seconds."""

    def __init__(self, folder: Path) -> None:
        file = folder / "tokenizer.json"
        if not file.is_file():
            raise UserError(f"{file}: no such file; a fast tokenizer's folder is needed")
        try:
            self._tokenizer = Tokenizer.from_file(str(file))
        except Exception as error:  # the library raises nothing narrower
            raise UserError(f"{file}: not a tokenizer ({error})") from None
        self.folder = folder
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._last: tuple[str, Encoding] | None = None

    def eos_id(self) -> int:
        """Id of the token that ends a text; refuses a tokenizer that names none.

        Looked for in tokenizer_config.json, special_tokens_map.json and, by id, the model's own
        generation_config.json and config.json.
        """
        for name in ("tokenizer_config.json", "special_tokens_map.json"):
            token = _settings(self.folder / name).get("eos_token")
            token = token.get("content") if isinstance(token, dict) else token
            if token is not None:
                found = self._tokenizer.token_to_id(token) if isinstance(token, str) else None
                if found is None:
                    raise UserError(
                        f"{self.folder / name}: eos_token is {token!r}, which the tokenizer does "
                        "not hold; name one of its tokens"
                    )
                return int(found)
        for name in ("generation_config.json", "config.json"):
            value = _settings(self.folder / name).get("eos_token_id")
            value = value[0] if isinstance(value, list) and value else value
            if isinstance(value, int):
                return value
        raise UserError(
            f"{self.folder}: a tokenizer without eos; set eos_token in its tokenizer_config.json"
        )

    def opening(self) -> list[int]:
        """Ids that the tokenizer itself sets before every text (Llama's ``<s>``), mostly none.

        RULER counts a prompt without them, and models read it with them.
        """
        return list(self._tokenizer.encode("", add_special_tokens=True).ids)

    def ids(self, text: str) -> list[int]:
        """Token ids of ``text``, no special tokens added (as RULER counts)."""
        return list(self._encoded(text).ids)

    def text(self, ids: Sequence[int]) -> str:
        """Text of ``ids``, special tokens skipped."""
        return str(self._tokenizer.decode(list(ids), skip_special_tokens=True))

    def count(self, text: str) -> int:
        """Number of tokens of ``text``."""
        return len(self._encoded(text))

    def locate(self, text: str) -> "Located":
        """Token ids of ``text`` with their places."""
        encoding = self._encoded(text)
        return Located(list(encoding.ids), list(encoding.offsets))

    def _encoded(self, text: str) -> Encoding:
        # A prompt is counted, then located: that is most of the time that samples take.
        if self._last is None or self._last[0] != text:
            self._last = text, self._tokenizer.encode(text, add_special_tokens=False)
        return self._last[1]


def _settings(file: Path) -> dict[str, Any]:
    try:
        content = read_json(file) if file.is_file() else {}
    except (UnicodeDecodeError, RecursionError):
        raise UserError(f"{file}: not JSON; copy the tokenizer's files again") from None
    return content if isinstance(content, dict) else {}


class Located:
    """Token ids of a text; finds the tokens that cover a range of its characters."""

    def __init__(self, ids: list[int], offsets: list[Span]) -> None:
        self.ids = ids
        self._starts = [start for start, _ in offsets]
        self._ends = [end for _, end in offsets]

    def span(self, start: int, end: int) -> Span:
        """Half-open token range that covers the characters ``start`` to ``end``."""
        return bisect_right(self._ends, start), bisect_left(self._starts, end)
