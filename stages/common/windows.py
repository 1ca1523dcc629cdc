"""Windows of validation text, chosen once by ``tokenize`` and read by everybody: ``windows.json``.

For each source and each length that is a power of two there are up to ``MOST`` disjoint windows. They
are spread: the stream is cut into as many equal parts as there are windows, and each part gives one,
placed at random inside it. They are listed in an order of which every beginning is spread too, so who
has time for ten takes the first ten. A length between two powers takes the beginnings of the next
greater windows.

The choice follows from the shards' sizes and ``SEED`` alone: tokens of before this file get the same.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from stages.common.errors import UserError
from stages.common.files import read_json, write_json
from stages.common.tokens import SPLIT, TokenStore

FILE = "windows.json"
FORMAT = 1
SEED = 42
MOST = 256
"""Windows of a source at a length: 1 M tokens at 4,096, and a list that stays below 1 MB a source."""
SHORTEST, LONGEST = 64, 1 << 17
"""Lengths that are listed, in tokens."""


class Window(NamedTuple):
    """A piece of a source's validation text."""

    source: str
    start: int
    """Place of its first token in the source's stream of shards."""
    length: int
    """Tokens."""


def choose(store: TokenStore) -> dict[str, Any]:
    """The content of ``windows.json`` for a folder of tokens."""
    return {
        "format": FORMAT,
        "split": SPLIT,
        "seed": SEED,
        "windows": [
            {
                "source": source,
                **dict(zip(("shard", "start"), place, strict=True)),
                "length": length,
            }
            for source in sources(store)
            for length in _lengths()
            for place in _places(store, source, length)
        ],
    }


def write(folder: Path) -> None:
    """Choose the windows of the tokens in ``folder`` and leave them there."""
    write_json(folder / FILE, choose(TokenStore(folder)))


def sources(store: TokenStore) -> list[str]:
    """Sources that have validation text."""
    return store.sources(SPLIT)


def windows(store: TokenStore, source: str, length: int, most_tokens: int) -> list[Window]:
    """Windows of ``length`` tokens of a source, ``most_tokens`` together at most, but one at least.

    None where the source has less text than one. Raises ``UserError`` for a file of another format.
    """
    listed = next((size for size in _lengths() if size >= length), None)
    if listed is None:
        raise UserError(f"benchmarks.lengths: {length} is above {LONGEST}, the longest window")
    shards = {file: start for file, start, _ in _shards(store, source)}
    found = [
        Window(source, shards[entry["shard"]] + entry["start"], length)
        for entry in _read(store)
        if entry["source"] == source and entry["length"] == listed
    ]
    if not found and len(store.stream(SPLIT, [source])) >= length:
        found = [Window(source, 0, length)]  # shorter than the next power of two
    return found[: max(1, most_tokens // length)]


def _read(store: TokenStore) -> list[dict[str, Any]]:
    file = store.folder / FILE
    content = read_json(file) if file.is_file() else choose(store)
    if content["format"] != FORMAT:
        raise UserError(
            f"{file}: format {content['format']}, this code reads {FORMAT}; make it anew with "
            "`repo-pipeline run tokenize --force`"
        )
    return list(content["windows"])


def _lengths() -> Iterator[int]:
    size = SHORTEST
    while size <= LONGEST:
        yield size
        size *= 2


def _shards(store: TokenStore, source: str) -> list[tuple[str, int, int]]:
    """File, first place in the source's stream, and tokens of its validation shards."""
    found, start = [], 0
    for shard in store.manifest["shards"]:
        if shard["split"] == SPLIT and shard["source"] == source and shard["tokens"]:
            found.append((shard["file"], start, shard["tokens"]))
            start += shard["tokens"]
    return found


def _places(store: TokenStore, source: str, length: int) -> Iterator[tuple[str, int]]:
    """Shard and place in it, in the order of the list; a window may end in the next shard."""
    shards = _shards(store, source)
    starts = np.array([start for _, start, _ in shards])
    total = sum(tokens for _, _, tokens in shards)
    count = min(MOST, total // length)
    if not count:
        return
    rng = np.random.Generator(np.random.PCG64([SEED, length, *source.encode()]))
    ends = np.arange(count + 1) * total // count
    for part in _spread(count):
        room = int(ends[part + 1] - ends[part]) - length
        start = int(ends[part]) + int(rng.integers(0, room + 1))
        shard = int(np.searchsorted(starts, start, side="right")) - 1
        yield shards[shard][0], start - int(starts[shard])


def _spread(count: int) -> list[int]:
    """0 to ``count`` - 1, every beginning of it spread: by the mirrored bits of the number."""
    bits = max(1, (count - 1).bit_length())
    mirrored = (int(f"{number:0{bits}b}"[::-1], 2) for number in range(1 << bits))
    return [number for number in mirrored if number < count]
