"""Generated long-context documents for the `tiny` profile.

A model of half a million parameters learns to match a key to its value only from dense
supervision: documents that state a few facts and then ask for them many times. Nothing in a
document may stand at a place that can be learned by heart, so every document draws its own
number of facts, wording, order, distances, key lengths and value lengths.

- `documents` yields documents of the wanted kinds, in the wanted shares, from one seed.
- `KINDS` names the kinds; each is one function from a random source and a size to a text.

Pure and deterministic: the same arguments give the same documents on every machine.
"""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

ADJECTIVES = tuple(
    """
    able bare big blue bold brave brief bright broad brown busy calm cheap clean clear clever cold
    cool cruel dark dear deep dense dry dull eager early easy empty equal exact fair faint false
    fast fine firm flat fond free fresh full gentle glad gold good grand gray great green half
    happy hard harsh heavy high hollow honest hot huge humble icy idle inner jolly just keen kind
    large late lazy lean left light little lively local lone long loud low lucky mad main mellow
    mild minor modern moist narrow neat new nice noble numb odd old open orange outer pale plain
    polite poor prime proud pure quick quiet rapid rare raw ready red rich ripe rough round royal
    rude rusty sad safe salty sharp shiny short shy silent silly simple slim slow small smart soft
    solid sour spare steady steep stiff still strange strict strong sunny sweet swift tall tame
    tender thick thin tidy tight tiny tired tough upper urban vague vast warm weak wet white whole
    wide wild wise wooden young
    """.split()
)

NOUNS = tuple(
    """
    acorn actor anchor ant apple apron arch arrow artist badge baker ball banana bank barn basket
    bath beach bean bear bed bee bell belt bench berry bird blade boat bone book boot bottle box
    branch bread brick bridge brush bucket bus butter button cabin cable cake camel camp candle
    canoe card carpet carrot castle cat cave chain chair chalk cheese cherry chess church circle
    city clay cliff clock cloud coach coal coat coffee coin comet cook copper coral corn cotton
    cousin cow crab cradle crane crown cup curtain dance deer desk diamond doctor dog doll donkey
    door dragon drawer dream dress drum duck eagle earth elbow engine falcon farm feather fence
    fiddle field finger fire fish flag flame flower flute forest fork fox frog fruit garden gate
    ghost giant glass globe glove goat goose grape guitar hammer harbor hat hawk heart hill honey
    horn horse hotel house iron island ivory jacket jar jewel judge juice jungle kettle king kite
    kitten knife ladder lake lamp lantern leaf lemon letter lion lizard lock lunch magnet map
    maple market mask meadow melon metal milk mirror monkey moon mother motor mountain mouse
    museum nail neck needle nest night nurse oak ocean olive onion orchard otter oven owl paint
    palace panda paper parrot path peach peanut pear pencil pepper piano pig pillow pilot pirate
    planet plate pocket poet pond potato prince puzzle queen rabbit radio rain raven ribbon rice
    ring river road robin rocket roof rope rose sailor salt sand scarf school sea seed shadow
    sheep ship shirt shoe shop silver singer sister skirt smoke snail snake snow soap sofa soup
    spider spoon square stable star station stone storm street sugar summer swan table tailor tea
    teacher temple tent thunder tiger tooth tower town train tree trout truck tulip tunnel turtle
    uncle valley vessel village violin wagon wall water whale wheat wheel window wing winter wolf
    wood wool yard zebra
    """.split()
)

_SYLLABLES = tuple(c + v for c in "bdfgklmnprstvz" for v in "aeiou")
_CAPITALS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_THINGS = ("number", "code", "price", "score", "room", "size", "age", "count")

# RULER's own haystack, one sentence each.
NOISE = (
    "The grass is green.",
    "The sky is blue.",
    "The sun is yellow.",
    "Here we go.",
    "There and back again.",
)

_STATEMENTS = (
    "{key}: {value}.",
    "{key} = {value}.",
    "{key} has the {thing} {value}.",
    "The {thing} of {key} is {value}.",
    "The {thing} for {key} is: {value}.",
    "For {key}, the {thing} is {value}.",
    "Note that the {thing} we gave to {key} is {value}.",
)

_QUESTIONS = (
    "{key}? {value}.",
    "Q: {key} A: {value}.",
    "{key} has the {thing}: {value}.",
    "What is the {thing} of {key}? {value}.",
    "Which {thing} did we give to {key}? It is {value}.",
    "The {thing} for {key} in the text is {value}.",
    "What is the {thing} for {key}? The {thing} for {key} given above is {value}.",
)


class Fact(NamedTuple):
    """A key and the value a document states for it."""

    key: str
    value: str


def _made_up(rng: random.Random) -> str:
    """A word that no list holds: it keeps the model from learning keys by heart."""
    return "".join(rng.choices(_SYLLABLES, k=rng.randint(2, 4)))


def _key(rng: random.Random) -> str:
    draw = rng.random()
    if draw < 0.4:
        return rng.choice(NOUNS)
    if draw < 0.8:
        return f"{rng.choice(ADJECTIVES)}-{rng.choice(NOUNS)}"
    return _made_up(rng)


def _distinct(draw: Callable[[], str], count: int) -> list[str]:
    """`count` different strings, in the order in which they were drawn."""
    found: dict[str, None] = {}
    while len(found) < count:
        found.setdefault(draw())
    return list(found)


def _number(rng: random.Random, digits: int) -> str:
    return str(rng.randrange(10 ** (digits - 1), 10**digits))


def _few(rng: random.Random, low: int, high: int) -> int:
    """A count from `low` to `high`, every doubling as likely as the next: mostly few."""
    return min(high, int(low * ((high + 1) / low) ** rng.random()))


def _facts(rng: random.Random, count: int) -> list[Fact]:
    """Facts with different keys; all values of one document have the same number of digits."""
    digits = rng.randint(2, 5)
    keys = _distinct(lambda: _key(rng), count)
    return [Fact(key, _number(rng, digits)) for key in keys]


def _filler(rng: random.Random, words: int) -> list[str]:
    """Sentences that state nothing, `words` words in all or a few more."""
    sentences: list[str] = []
    noisy = rng.random() < 0.5
    while words > 0:
        sentences.append(
            rng.choice(NOISE)
            if noisy
            else f"The {rng.choice(ADJECTIVES)} {rng.choice(NOUNS)} saw "
            f"a {rng.choice(ADJECTIVES)} {rng.choice(NOUNS)}."
        )
        words -= len(sentences[-1].split())
    return sentences


def _scatter(rng: random.Random, items: Sequence[str], filler: Sequence[str]) -> list[str]:
    """`items` in their order, at random places among `filler`."""
    places = sorted(rng.sample(range(len(items) + len(filler)), len(items)))
    mixed = list(filler)
    for place, item in zip(places, items, strict=True):
        mixed.insert(place, item)
    return mixed


def _asked(rng: random.Random, facts: Sequence[Fact], times: int) -> list[Fact]:
    """`times` facts to ask for: every one once in a new order, then again in another."""
    order: list[Fact] = []
    while len(order) < times:
        order += rng.sample(facts, len(facts))
    return order[:times]


def lists(rng: random.Random, words: int) -> str:
    """A short random sequence of words, again and again: the plainest copying there is."""
    items = [_key(rng) for _ in range(_few(rng, 2, max(3, words // 2)))]
    separator = rng.choice((" ", ", ", "\n"))
    return separator.join(items * max(2, words // len(items)))


def pairs(rng: random.Random, words: int) -> str:
    """A table of keys and values, then the same rows again, each time in another order."""
    told = _facts(rng, _few(rng, 2, max(3, words // 6)))
    join = rng.choice((" ", ": ", " = ", " is ", " -> "))
    separator = rng.choice((", ", "; ", "\n", " "))
    rows = _asked(rng, told, max(2 * len(told), words // 2))
    return separator.join(f"{row.key}{join}{row.value}" for row in rows)


def facts(rng: random.Random, words: int) -> str:
    """Facts in one wording, spread over filler, then many questions in another."""
    told = _facts(rng, max(2, min(8, words // rng.randint(12, 24))))
    statement, question = rng.choice(_STATEMENTS), rng.choice(_QUESTIONS)
    thing = rng.choice(_THINGS)
    stated = [statement.format(key=f.key, value=f.value, thing=thing) for f in told]
    filler = _filler(rng, rng.randint(0, words // 3))
    asked_words = words - sum(len(s.split()) for s in [*stated, *filler])
    asked = _asked(rng, told, max(len(told), asked_words // len(question.split())))
    answered = [question.format(key=f.key, value=f.value, thing=thing) for f in asked]
    separator = rng.choice((" ", "\n"))
    return separator.join([*_scatter(rng, stated, filler), *answered])


def quiz(rng: random.Random, words: int) -> str:
    """RULER's needle wording in a haystack of random size, then several questions."""
    needles = _facts(rng, rng.randint(1, max(1, min(6, words // 25))))
    stated = [f"One of the special magic numbers for {f.key} is: {f.value}." for f in needles]
    haystack = _filler(rng, rng.randint(0, words // 2))
    context = rng.choice((" ", "\n")).join(_scatter(rng, stated, haystack))
    opening = (
        "A special magic number is hidden within the following text. Make sure to memorize it. "
        "I will quiz you about the number afterwards."
    )
    asked = _asked(rng, needles, rng.randint(1, 2 * len(needles)))
    answered = [
        f"What is the special magic number for {f.key} mentioned in the provided text? "
        f"The special magic number for {f.key} mentioned in the provided text is {f.value}."
        for f in asked
    ]
    return "\n".join([opening, context, *answered])


def assignments(rng: random.Random, words: int) -> str:
    """Chains of variables among filler, then the question which variables hold a value."""
    length = rng.randint(1, 3)
    names = _distinct(lambda: "".join(rng.choices(_CAPITALS, k=rng.randint(2, 5))), 2 * length)
    chains = [names[:length], names[length:]]
    values = _distinct(lambda: _number(rng, 4), 2)
    lines = []
    for chain, value in zip(chains, values, strict=True):
        lines += [f"VAR {chain[0]} = {value}"]
        lines += [f"VAR {b} = VAR {a}" for a, b in zip(chain, chain[1:], strict=False)]
    told = lines[: length * rng.randint(1, 2)]
    context = _scatter(rng, told, _filler(rng, rng.randint(0, words // 2)))
    answers = [
        f"Question: Find all variables that are assigned the value {value} in the text above. "
        "Answer: According to the chain(s) of variable assignment in the text above, "
        f"{length} variables are assigned the value {value}, they are: {' '.join(chain)}"
        for chain, value in list(zip(chains, values, strict=True))[: len(told) // length]
    ]
    opening = "Memorize and track the chain(s) of variable assignment hidden in the following text."
    return "\n".join([f"{opening}\n", *context, *rng.sample(answers, len(answers))])


def word_counts(rng: random.Random, words: int) -> str:
    """A numbered list in which some words appear more often, then which ones do."""
    count = rng.randint(1, 4)
    drawn = rng.sample(NOUNS, count + max(2, words // 8))
    common, once = drawn[:count], drawn[count:]
    repeats = rng.randint(3, 4)
    items = [*common * repeats, *once]
    rng.shuffle(items)
    numbered = " ".join(f"{i}. {item}" for i, item in enumerate(items, 1))
    return (
        "Below is a numbered list of words. In these words, some appear more often than others. "
        f"Memorize the ones that appear most often.\n{numbered}\n"
        f"Question: What are the {count} most common words in the above list? "
        f"Answer: The top {count} words that appear most often in the list are: "
        + " ".join(f"{i}. {word}" for i, word in enumerate(common, 1))
    )


KINDS: Mapping[str, Callable[[random.Random, int], str]] = {
    "lists": lists,
    "pairs": pairs,
    "facts": facts,
    "quiz": quiz,
    "assignments": assignments,
    "word_counts": word_counts,
}


def documents(
    kinds: Mapping[str, float], seed: int, min_words: int = 16, max_words: int = 120
) -> Iterator[str]:
    """Documents without end, of the kinds in `kinds`, with the shares of words given there."""
    rng = random.Random(seed)
    written = {kind: 0.0 for kind, share in kinds.items() if share > 0}
    while True:
        kind = min(written, key=lambda name: written[name] / kinds[name])
        words = round(min_words * (max_words / min_words) ** rng.random())
        document = KINDS[kind](rng, words)
        written[kind] += len(document.split())
        yield document
