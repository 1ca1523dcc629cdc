"""What the tokens of now still hold: a file of the corpus that was encoded before is not encoded again.

A new source changes the corpus as a whole, and no file of the others. Under ``REPO_RUNS/finished`` a
small record says which shards a file became, by what decides them; the shards themselves are those
of ``data/tokens``, which stands until the new one is there. ``encode_file`` checks their hashes.
"""

import hashlib
from pathlib import Path
from typing import Any

from stages.common import runs
from stages.common.files import link, read_json, write_json
from stages.tokenize.version import VERSION

_DONE = ".done.json"


def key(name: str, digest: str, tokenizer: str, eos_id: int, shard_tokens: int) -> str:
    """Of all that decides the shards of a corpus file and their names (16 hexadecimal digits)."""
    made_from = f"{VERSION} {name} {digest} {tokenizer} {eos_id} {shard_tokens}"
    return hashlib.sha256(made_from.encode()).hexdigest()[:16]


def bring(key: str, target: Path, tokens: Path) -> None:
    """Link the shards of a file from ``tokens`` to ``target``'s side, if they are all there."""
    record, done = _record(key), target.with_name(target.name + _DONE)
    if done.is_file() or not record.is_file():
        return
    entries: list[dict[str, Any]] = read_json(record)
    for entry in entries:
        shard = tokens / entry["name"]
        ends = shard.with_suffix(".ends")
        if not shard.is_file() or not ends.is_file():
            return
        if ends.stat().st_size != 8 * entry["documents"]:
            return
    target.parent.mkdir(parents=True, exist_ok=True)
    for entry in entries:
        for name in (Path(entry["name"]), Path(entry["name"]).with_suffix(".ends")):
            link((tokens / name).resolve(), target.with_name(name.name))  # DVC may have links
    write_json(done, entries)


def remember(key: str, entries: list[dict[str, Any]]) -> None:
    """Keep what a file became."""
    if not _record(key).is_file():
        write_json(_record(key), entries)


def _record(key: str) -> Path:
    return runs.root() / "finished" / "tokenize" / "encoded" / f"{key}.json"
