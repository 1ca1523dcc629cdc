"""Documents of the corpus into token shards: the work of one Ray task.

Ids go to disk as they come: memory is that of one batch, whatever ``shard_tokens`` is.
"""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import orjson

from stages.common.encoder import Encoder
from stages.common.errors import UserError
from stages.common.files import read_json, replacing, sha256, write_json
from stages.common.tokens import DTYPE, Ids
from stages.corpus.plan import texts
from stages.tokenize.long_texts import parts

BATCH_CHARACTERS = 1 << 20
"""Text handed to the tokenizer at once: 112 MB of its memory (a batch of one part has less)."""

Batch = tuple[list[str], list[bool]]
"""Parts of documents, and whether a document ends with each."""


def encode_file(
    source: Path, tokenizer: Path, eos_id: int, shard_tokens: int, target: Path
) -> list[dict[str, Any]]:
    """Write ``<target>-<n>.npy`` (ids) and ``.ends`` (documents' ends, uint64) beside each other.

    Returns the manifest's entries. A finished file is known by its ``.done.json`` and not redone.
    """
    entries = _done(target)
    if entries is None:
        entries = _encode(_texts(source), Encoder(tokenizer), eos_id, shard_tokens, target)
    return entries


def encode_parts(
    root: Path,
    plan: Path,
    split: str,
    tokenizer: Path,
    eos_id: int,
    shard_tokens: int,
    targets: Mapping[int, Path],
) -> list[list[dict[str, Any]]]:
    """As ``encode_file``, of parts of a plan (its file) that follow on each other: number -> target.

    Documents that are not those of the plan raise ``UserError``, and no ``.done.json`` is written.
    """
    known = {number: _done(target) for number, target in targets.items()}
    if all(entries is not None for entries in known.values()):
        return [entries or [] for entries in known.values()]
    encoder, found = Encoder(tokenizer), []
    for number, documents in texts(root, read_json(plan), list(targets), split):
        entries = known[number]
        if entries is None:
            entries = _encode(documents, encoder, eos_id, shard_tokens, targets[number])
        found.append(entries)
    return found


def _done(target: Path) -> list[dict[str, Any]] | None:
    """The entries of what is finished; none where something of it is missing."""
    done = target.with_name(f"{target.name}.done.json")
    if not done.is_file():
        return None
    entries: list[dict[str, Any]] = read_json(done)
    # A shard may share its bytes with data/tokens (a hard link), so it can be damaged there.
    whole = all(_is_whole(target.with_name(entry["name"]), entry["sha256"]) for entry in entries)
    return entries if whole else None


def _encode(
    documents: Iterator[str], encoder: Encoder, eos_id: int, shard_tokens: int, target: Path
) -> list[dict[str, Any]]:
    found = _parts(documents, encoder, eos_id)
    entries: list[dict[str, Any]] = []
    while True:
        name = target.with_name(f"{target.name}-{len(entries):05d}.npy")
        entry = _shard(found, shard_tokens, name)
        if entry is None:
            break
        entries.append(entry)
    write_json(target.with_name(f"{target.name}.done.json"), entries)
    return entries


class _Part(NamedTuple):
    """Ids of a document, or of a part of a very long one."""

    ids: Ids
    ends: bool
    """Whether the document ends with it (the eos is its last id then)."""
    control_strings: int


def _shard(parts_of: Iterator[_Part], shard_tokens: int, file: Path) -> dict[str, Any] | None:
    """Write one shard, closed at the first document's end past ``shard_tokens``; none at the end."""
    first = next(parts_of, None)
    if first is None:
        return None
    tokens = control_strings = 0
    ends: list[int] = []
    digest = hashlib.sha256()
    with ExitStack() as stack:
        ids_file = stack.enter_context(
            open(stack.enter_context(replacing(file)), "wb", buffering=1 << 20)
        )
        part: _Part | None = first
        while part is not None:
            content = part.ids.tobytes()
            ids_file.write(content)
            digest.update(content)
            tokens += len(part.ids)
            control_strings += part.control_strings
            if part.ends:
                ends.append(tokens)
                if tokens >= shard_tokens:
                    break
            part = next(parts_of, None)
    with replacing(file.with_suffix(".ends")) as temporary:
        np.array(ends, dtype="<u8").tofile(temporary)
    return {
        "name": file.name,
        "tokens": tokens,
        "documents": len(ends),
        "control_strings": control_strings,
        "sha256": digest.hexdigest(),
    }


def _is_whole(shard: Path, expected: str) -> bool:
    return shard.is_file() and shard.with_suffix(".ends").is_file() and sha256(shard) == expected


def _parts(documents: Iterator[str], encoder: Encoder, eos_id: int) -> Iterator[_Part]:
    """Yield the parts of the documents in order, eos behind the last part of each."""
    for batch, ends in _batches(documents, encoder):
        for text, encoding, end in zip(batch, encoder.batch(batch), ends, strict=True):
            ids = np.empty(len(encoding) + end, dtype=DTYPE)
            ids[: len(encoding)] = encoding.ids
            if end:
                ids[-1] = eos_id
            yield _Part(ids, end, encoder.control_strings(text))


def _batches(documents: Iterator[str], encoder: Encoder) -> Iterator[Batch]:
    batch: list[str] = []
    ends: list[bool] = []
    size = 0
    for text in documents:
        for part, last in _with_last(parts(text, encoder)):
            batch.append(part)
            ends.append(last)
            size += len(part)
            if size >= BATCH_CHARACTERS:
                yield batch, ends
                batch, ends, size = [], [], 0
    if batch:
        yield batch, ends


def _with_last(items: Iterator[str]) -> Iterator[tuple[str, bool]]:
    held = next(items)
    for item in items:
        yield held, False
        held = item
    yield held, True


def _texts(source: Path) -> Iterator[str]:
    """Texts of a file that the stage ``corpus`` wrote."""
    with open(source, "rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                text: str = orjson.loads(line)["text"]
            except (ValueError, KeyError, TypeError):
                raise UserError(
                    f"{source} line {number}: not a document of the stage corpus; make it anew with "
                    "`repo-pipeline run corpus --force`"
                ) from None
            yield text
