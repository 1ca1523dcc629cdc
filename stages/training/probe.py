"""Fifty prompts that ask for a number stated before: does the model still find what stands far back?

Made from the tokenizer alone, by a recipe of this file's own: a training depends on no benchmark. A
prompt names four keys with a number each, at four depths of a text that says nothing, and ends where
the number of one of them comes next. It is scored by reading, not by writing: right is a prompt whose
every answer token is the most likely one after the tokens before it, which is what greedy decoding
would write.
"""

import random
from typing import NamedTuple

from stages.common.encoder import Encoder
from stages.training import looks

SEED = 42
_WORDS = (
    "amber anchor basket beacon candle canyon copper cradle dragon ember "
    "falcon feather garden ginger hammer harbor island ivory jacket jungle "
    "kettle ladder lantern lemon marble meadow mirror needle orchard oyster "
    "pebble pepper pillow quartz rabbit ribbon saddle silver spider thunder "
    "timber tunnel turtle valley velvet violin walnut willow window zipper "
)
KEYS = tuple(_WORDS.split())
KEYS_EACH = 4
FILL = " The river runs on past the mill, and the day goes by as it came."
NEEDLE, QUESTION = " The number of {} is {}.", " The number of {} is"


class Prompt(NamedTuple):
    """Token ids; together as many as were asked for."""

    ids: list[int]
    answer: list[int]


def prompts(encoder: Encoder, length: int) -> list[Prompt]:
    """Fifty of ``length`` tokens with their answers; none where one does not fit."""
    fill = encoder.ids(FILL)
    found = [_prompt(encoder, length, fill, number) for number in range(looks.PROMPTS)]
    fitting = [prompt for prompt in found if prompt is not None]
    return fitting if len(fitting) == looks.PROMPTS else []


def _prompt(encoder: Encoder, length: int, fill: list[int], number: int) -> Prompt | None:
    draw = random.Random(f"{SEED} {number}")
    keys = draw.sample(KEYS, KEYS_EACH)
    values = [str(draw.randrange(1000, 10000)) for _ in keys]
    opening, needles = (
        encoder.opening(),
        [encoder.ids(NEEDLE.format(key, value)) for key, value in zip(keys, values, strict=True)],
    )
    # The number as its tokens are in the needle: with the blank before it, up to the full stop.
    end = encoder.ids(QUESTION.format(keys[0]))
    answer = encoder.ids(QUESTION.format(keys[0]) + " " + values[0])[len(end) :]
    room = length - sum(map(len, (opening, end, answer, *needles)))
    if room < 0 or not answer:
        return None
    # The one that is asked for: each prompt at another depth. The others: anywhere.
    depths = [number / max(looks.PROMPTS - 1, 1), *(draw.random() for _ in keys[1:])]
    text = (fill * (room // len(fill) + 1))[:room]
    ids, last = list(opening), 0
    for depth, needle in sorted(zip(depths, needles, strict=True)):
        place = round(depth * room)
        ids += text[last:place] + needle
        last = place
    return Prompt(ids + text[last:] + end, answer)
