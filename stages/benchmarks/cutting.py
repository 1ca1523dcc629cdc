"""Prompts that are too long: LongBench's rule, which cuts the middle out."""

from stages.common.encoder import Encoder
from stages.common.errors import UserError


def fitted(prompt: str, room: int, encoder: Encoder) -> tuple[str, list[int], bool]:
    """Text and token ids of at most ``room`` tokens, and whether anything was cut.

    LongBench's rule: the first and the last half of the room are kept, joined as text. The joint
    may take more tokens than the halves had; then a smaller room is tried, so that the length is
    never passed (LongBench lets it).
    """
    ids = whole = encoder.ids(prompt)
    half = room // 2
    while len(ids) > room:
        if half < 1:
            raise UserError(
                f"benchmarks.lengths: {room} tokens of prompt are too few for a text of "
                f"{len(whole)}; take a longer length"
            )
        prompt = encoder.text(whole[:half]) + encoder.text(whole[-half:])
        ids = encoder.ids(prompt)
        half -= 1
    return prompt, ids, len(whole) > room
