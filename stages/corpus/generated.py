"""Generated long-context documents for the `tiny` profile.

A model of half a million parameters learns to match a key to its value only from dense
supervision: documents that state a few facts and then ask for them many times. Nothing in a
document may stand at a place that can be learned by heart, so every document draws its own
number of facts, wording, order, distances, key lengths and value lengths.

- `documents` yields documents of the wanted kinds, in the wanted shares, from one seed.
- `KINDS` names the kinds; each is one function from a random source and a size to a text.

Pure and deterministic: the same arguments give the same documents on every machine.
"""

import difflib
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

# Few and plain, so that a vocabulary of 1,024 holds most of them as one token.
_ADJECTIVE_LINES = """
big blue bold brave bright brown calm clean clever cold cool dark deep dry early easy empty fair
fast fine fresh full gentle gold good gray green happy heavy high hot icy kind large late lazy
light little long loud lucky neat new nice noble odd old orange pale plain poor proud pure quick
quiet rare red rich round royal sad salty sharp shiny short shy silly simple slow small smart soft
sour steady strong sunny sweet swift tall thin tiny tired warm wet white wide wild wise young
"""

_NOUN_LINES = """
apple arrow ball banana bank basket beach bear bell bird boat book bottle box bread bridge brush
bus button cake camel candle card castle cat chair cheese cherry clock cloud coat coffee coin corn
crown cup deer desk doctor dog door dragon dream drum duck eagle engine farm feather field fire
fish flag flower forest fox frog garden gate ghost glass goat grape guitar hammer hat heart hill
honey horse hotel house island jacket jar juice key king kite knife ladder lake lamp leaf lemon
letter lion map market mask milk mirror moon mountain mouse nail nest night ocean olive onion owl
paint paper parrot peach pencil piano pig pillow pilot planet plate pocket poet potato queen rabbit
radio rain ring river road robot rocket roof rope rose salt sand school sea seed sheep ship shirt
shoe silver singer snake snow soap sofa soup spider spoon star stone storm street sugar summer
table tea teacher tiger tower train tree truck turtle valley violin wagon wall water whale wheel
window wolf wood
"""

ADJECTIVES = tuple(_ADJECTIVE_LINES.split())
NOUNS = tuple(_NOUN_LINES.split())

# Onsets, vowels and codas of made-up words.
_SYLLABLES = """
b bl br c ch cl cr d dr f fl fr g gl gr h j k l m n p pl pr r s sh sl st t th tr v w z
a ai e ea ee i o oo ou u
b ck d g l ll m n nd ng p r rd s st t x y
"""
_ONSETS, _VOWELS, _CODAS = (line.split() for line in _SYLLABLES.strip().splitlines())

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
_CHATTER = (
    "Nothing happened today.",
    "They walked home and talked for a while.",
    "It was late when we came back.",
    "She said that it would be fine.",
    "Nobody knows why.",
    "We waited until the end of the day.",
    "He did not ask again.",
    "Then all was as before.",
    "You can see it from here.",
    "Some of them were gone.",
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


def _syllable(rng: random.Random) -> str:
    coda = rng.choice(_CODAS) if rng.random() < 0.7 else ""
    return rng.choice(_ONSETS) + rng.choice(_VOWELS) + coda


def _made_up(rng: random.Random) -> str:
    """A word that no list holds: it keeps the model from learning keys by heart."""
    return "".join(_syllable(rng) for _ in range(rng.randint(1, 3)))


def _key(rng: random.Random) -> str:
    """One word, or two joined as RULER joins them, a quarter of the words made up."""
    noun = rng.choice(NOUNS) if rng.random() < 0.75 else _made_up(rng)
    if rng.random() < 0.5:
        return noun
    adjective = rng.choice(ADJECTIVES) if rng.random() < 0.75 else _made_up(rng)
    return f"{adjective}-{noun}"


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
    """Facts with different keys and different values, all values with as many digits."""
    digits = rng.randint(2, 7)  # RULER's own numbers have 7
    keys = _distinct(lambda: _key(rng), count)
    values = _distinct(lambda: _number(rng, digits), count)
    return [Fact(key, value) for key, value in zip(keys, values, strict=True)]


def _filler(rng: random.Random, words: int) -> list[str]:
    """Sentences that state nothing, `words` words in all or a few more."""
    sentences: list[str] = []
    pool = rng.choice((NOISE, _CHATTER))
    while words > 0:
        sentences.append(rng.choice(pool))
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
        lines += [f"VAR {b} = VAR {a}" for a, b in pairwise(chain)]
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
    drawn = rng.sample(NOUNS, count + min(60, max(2, words // 8)))
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


def _known(name: str) -> str:
    if name in KINDS:
        return name
    near = difflib.get_close_matches(name, KINDS, 1) or sorted(KINDS)
    raise ValueError(f"corpus: no generated document is of the kind {name!r}; use {near[0]!r}")


def documents(
    kinds: Mapping[str, float], seed: int, min_words: int = 16, max_words: int = 120
) -> Iterator[str]:
    """Documents without end, of the kinds in `kinds`, with the shares of words given there.

    `min_words` and `max_words` bound the size asked of a kind; every doubling in between is
    equally likely, so that short documents, from which copying is learned first, are many.
    A kind may exceed its size by its fixed wording.
    """
    rng = random.Random(seed)
    written = {_known(kind): 0.0 for kind, share in kinds.items() if share > 0}
    while True:
        kind = min(written, key=lambda name: written[name] / kinds[name])
        words = round(min_words * (max_words / min_words) ** rng.random())
        document = KINDS[kind](rng, words)
        written[kind] += len(document.split())
        yield document
