"""Prompts that are too long: LongBench's rule, which cuts the middle out."""

from stages.common.encoder import Encoder
from stages.common.errors import UserError


def fitted(
    prompt: str, room: int, encoder: Encoder, max_length: int | None = None
) -> tuple[str, list[int], bool]:
    """Text and token ids of at most ``room`` tokens, and whether anything was cut.

    LongBench's rule: of a prompt longer than ``max_length`` (none: the room) the first and the last
    half of it are kept, joined as text. The joint may take more tokens than the halves had. Within the
    room that stays, as in LongBench, which counts what its tokenizer sets before a text; beyond it a
    smaller part is tried, so that the length is never passed (LongBench lets it).
    """
    ids = whole = encoder.ids(prompt)
    opening = 0 if max_length is None else len(encoder.opening())
    most = room if max_length is None else max_length - opening
    half = (room if max_length is None else max_length) // 2
    cut = len(whole) > most
    while cut or len(ids) > room:
        if half <= opening:
            raise UserError(
                f"benchmarks.lengths: {room} tokens of prompt are too few for a text of "
                f"{len(whole)}; take a longer length"
            )
        prompt = encoder.text(whole[: half - opening]) + encoder.text(whole[-half:])
        ids = encoder.ids(prompt)
        half -= 1
        cut = False
    return prompt, ids, ids is not whole
