"""Very long documents in parts whose ids, one after the other, are those of the whole.

The tokenizer takes 112 MB of memory for each MB of one text, and one core. A tokenizer with a
pre-tokenizer encodes every piece alone, so a text may be cut between two pieces. Whether a place is
one is asked of the tokenizer itself, in windows around it: the ids of both sides, encoded apart,
must be those of the window, whatever the window's extent.
"""

from collections.abc import Iterator

from stages.common.encoder import Encoder
from stages.common.errors import UserError

PART = 1 << 18
"""Characters of a part: 30 MB of memory while it is encoded."""
WHOLE = 1 << 24
"""Longest text (characters) that is encoded in one go where no place to cut is found: 2 GB."""
EXTENTS = (1536, 1021)
"""Characters looked at on each side; two, because a piece may depend on where a window begins
(numbers in threes)."""
TRIES = 64


def parts(text: str, encoder: Encoder, part: int = PART) -> Iterator[str]:
    """Yield the text whole, or in parts of about ``part`` characters where it is longer.

    Raises ``UserError`` for a text beyond ``WHOLE`` that cannot be cut.
    """
    start = 0
    while len(text) - start > 2 * part:
        cut = _cut(text, start + part, encoder)
        if cut is None:
            if len(text) - start > WHOLE:
                raise UserError(
                    f"a document has {len(text):,} characters and the tokenizer offers no place to "
                    f"cut it (most without one: {WHOLE:,}); split the document, it begins with "
                    f"{text[:40]!r}"
                )
            break
        yield text[start:cut]
        start = cut
    yield text[start:] if start else text


def _cut(text: str, wanted: int, encoder: Encoder) -> int | None:
    """A place shortly behind ``wanted`` where the text may be cut."""
    if not encoder.splits:
        return None
    tried = 0
    for place in range(wanted, min(wanted + PART // 2, len(text) - 1)):
        if _may_part(text[place - 1], text[place]):
            if _parts_alike(text, place, encoder):
                return place
            tried += 1
            if tried == TRIES:
                return None
    return None


def _may_part(before: str, after: str) -> bool:
    """Where every known pre-tokenizer ends a piece: never inside a run of one kind."""
    if after.isspace():
        return after == " " and not before.isspace()
    return before == "\n" or (before.isalpha() and not after.isalnum())


def _parts_alike(text: str, place: int, encoder: Encoder) -> bool:
    for extent in EXTENTS:
        left, right = text[max(0, place - extent) : place], text[place : place + extent]
        both, one, other = encoder.batch([left + right, left, right])
        if both.ids != one.ids + other.ids:
            return False
    return True
