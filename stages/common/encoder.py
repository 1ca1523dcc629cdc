"""Text to token ids and back, with the place of every token in the text."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from tokenizers import Encoding, Tokenizer

from stages.common.errors import UserError
from stages.common.tokenizer_file import SETTINGS, settings, settled, token_of

Span = tuple[int, int]


class Encoder:
    """A model's tokenizer without transformers' wrapper, whose import alone takes seconds.

    The one way from text to ids: ``tokenize``, the benchmarks and the evaluation all use it.
    """

    def __init__(self, folder: Path) -> None:
        self._settled = settled(folder)
        self._tokenizer = self._settled.tokenizer
        self.folder = folder
        self._last: tuple[str, Encoding] | None = None

    @property
    def splits(self) -> bool:
        """Whether the tokenizer has a pre-tokenizer (``stages.tokenize.long_texts`` cuts at it)."""
        return self._settled.splits

    @property
    def ids_end(self) -> int:
        """One past the greatest id of a token."""
        return max(self._tokenizer.get_vocab(with_added_tokens=True).values()) + 1

    @property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer itself, in which control tokens' strings are text."""
        return self._settled.tokenizer

    def eos_id(self) -> int:
        """Id of the token that ends a text; refuses a tokenizer that names none.

        Looked for in tokenizer_config.json, special_tokens_map.json and, by id, the model's own
        generation_config.json and config.json.
        """
        for name in SETTINGS:
            token: Any = settings(self.folder / name).get("eos_token")
            token = token_of(token) or token
            if token is not None:
                found = self._tokenizer.token_to_id(token) if isinstance(token, str) else None
                if found is None:
                    raise UserError(
                        f"{self.folder / name}: eos_token is {token!r}, which the tokenizer does "
                        "not hold; name one of its tokens"
                    )
                return int(found)
        for name in ("generation_config.json", "config.json"):
            value = settings(self.folder / name).get("eos_token_id")
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
        # Not those of the empty text: a closing token (BERT's [SEP]) would count as an opening.
        plain = self._tokenizer.encode(_PROBE, add_special_tokens=False).ids
        whole = self._tokenizer.encode(_PROBE, add_special_tokens=True).ids
        for start in range(len(whole) - len(plain) + 1):
            if whole[start : start + len(plain)] == plain:
                return list(whole[:start])
        return []

    def batch(self, texts: Sequence[str]) -> list[Encoding]:
        """Encodings of many texts, without places (faster than one by one, on several threads)."""
        found = self._tokenizer.encode_batch_fast(texts, add_special_tokens=False)
        return [self._as_text(text, each) for text, each in zip(texts, found, strict=True)]

    def control_strings(self, text: str) -> int:
        """How many strings of control tokens stand in the text; they are encoded as text."""
        strings = self._settled.strings
        return sum(1 for _ in strings.finditer(text)) if strings else 0

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
            encoding = self._tokenizer.encode(text, add_special_tokens=False)
            self._last = text, self._as_text(text, encoding)
        return self._last[1]

    def _as_text(self, text: str, encoding: Encoding) -> Encoding:
        """The encoding itself, or one without control ids where the model's own vocabulary gave some.

        Unigram and WordLevel models know ``</s>`` as a piece, so that a text can become its id.
        """
        if self._settled.controls.isdisjoint(encoding.ids):
            return encoding
        parts = [
            self._tokenizer.encode(part, add_special_tokens=False) for part in self.broken(text)
        ]
        merged = Encoding.merge(parts, growing_offsets=True)
        if not self._settled.controls.isdisjoint(merged.ids):
            raise UserError(
                f"{self.folder}: the tokenizer makes control tokens of plain text; mark in its "
                "tokenizer.json what is no control token as not special"
            )
        return merged

    def broken(self, text: str) -> Iterable[str]:
        """The text in parts, no string of a control token whole in any."""
        start = 0
        for match in self._settled.strings.finditer(text) if self._settled.strings else ():
            yield text[start : match.start() + 1]
            start = match.start() + 1
        yield text[start:]


_PROBE = "a"
"""Text whose ids every tokenizer knows, to see what is set before one."""


class Located:
    """Token ids of a text; finds the tokens that cover a range of its characters."""

    def __init__(self, ids: list[int], offsets: list[Span]) -> None:
        self.ids = ids
        self._starts = [start for start, _ in offsets]
        self._ends = [end for _, end in offsets]

    def characters(self, tokens: Span) -> Span:
        """Half-open character range of a half-open token range."""
        start, end = tokens
        return self._starts[start] if start < end else self._ends[end - 1], self._ends[end - 1]

    def span(self, start: int, end: int) -> Span:
        """Half-open token range that covers the characters ``start`` to ``end``."""
        return bisect_right(self._ends, start), bisect_left(self._starts, end)
