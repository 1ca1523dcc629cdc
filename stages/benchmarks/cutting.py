"""Prompts that are too long: LongBench's rule, which cuts the middle out."""

from stages.benchmarks.encoder import Encoder


def fitted(prompt: str, room: int, encoder: Encoder) -> tuple[str, list[int], bool]:
    """Text and token ids of at most ``room`` tokens, and whether anything was cut.

    LongBench's rule: the first and the last half of the room are kept, joined as text. The joint
    may take more tokens than the halves had; then a smaller room is tried, so that the length is
    never passed (LongBench lets it).
    """
    ids = whole = encoder.ids(prompt)
    half = room // 2
    while len(ids) > room:
        prompt = encoder.text(whole[:half]) + encoder.text(whole[-half:])
        ids = encoder.ids(prompt)
        half -= 1
    return prompt, ids, len(whole) > room
