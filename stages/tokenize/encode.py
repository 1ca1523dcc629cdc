"""One file of the corpus into token shards: the work of one Ray task."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from stages.common.files import read_json, read_jsonl, replacing, sha256, write_json
from stages.common.tokens import DTYPE, Ids

BATCH_BYTES = 1 << 20
"""Text handed to the tokenizer at once: enough to amortise the call, little to hold in memory."""


def encode_file(
    source: Path, tokenizer: Path, eos_id: int, shard_tokens: int, target: Path
) -> list[dict[str, Any]]:
    """Write ``<target>-<n>.npy`` (ids) and ``.ends`` (documents' ends, uint64) beside each other.

    Returns the manifest's entries. A finished file is known by its ``.done.json`` and not redone.
    """
    done = target.with_name(f"{target.name}.done.json")
    if done.is_file():
        entries = list(read_json(done))
        # A shard may share its bytes with data/tokens (a hard link), so it can be damaged there.
        if all(_is_whole(target.with_name(entry["name"]), entry["sha256"]) for entry in entries):
            return entries
    entries = []
    for number, documents in enumerate(_shards(source, tokenizer, eos_id, shard_tokens)):
        ids_file = target.with_name(f"{target.name}-{number:05d}.npy")
        ids = np.concatenate(documents).astype(DTYPE)
        with replacing(ids_file) as temporary:
            ids.tofile(temporary)
        with replacing(ids_file.with_suffix(".ends")) as temporary:
            np.cumsum([len(document) for document in documents]).astype("<u8").tofile(temporary)
        entries.append(
            {
                "name": ids_file.name,
                "tokens": len(ids),
                "documents": len(documents),
                "sha256": sha256(ids_file),
            }
        )
    write_json(done, entries)
    return entries


def _is_whole(shard: Path, expected: str) -> bool:
    return shard.is_file() and shard.with_suffix(".ends").is_file() and sha256(shard) == expected


def _shards(source: Path, tokenizer: Path, eos_id: int, shard_tokens: int) -> Iterator[list[Ids]]:
    """Yield lists of documents (ids, eos last) of just over ``shard_tokens`` tokens each."""
    encoder = Tokenizer.from_file(str(tokenizer / "tokenizer.json"))
    held: list[Ids] = []
    size = 0
    for texts in _batches(source):
        for encoding in encoder.encode_batch_fast(texts, add_special_tokens=False):
            held.append(np.array([*encoding.ids, eos_id], dtype=DTYPE))
            size += len(held[-1])
            if size >= shard_tokens:
                yield held
                held, size = [], 0
    if held:
        yield held


def _batches(source: Path) -> Iterator[list[str]]:
    batch: list[str] = []
    size = 0
    for row in read_jsonl(source):
        batch.append(row["text"])
        size += len(row["text"])
        if size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
