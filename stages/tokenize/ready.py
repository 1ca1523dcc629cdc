"""One file of ready token ids: every id looked at, documents' ends found, a part held out.

Nothing is copied: the shards are ranges of the user's file. Memory is that of one block.
"""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.common.errors import UserError
from stages.common.files import read_json, replacing, write_json
from stages.common.tokenizer_file import identity
from stages.common.tokens import LISTED

BLOCK = 1 << 22
"""Ids read at once: 16 MB of uint32."""


def check_tokenizer(source: str, plan: dict[str, Any], tokenizer: Path) -> None:
    """Refuse ids that another tokenizer made than the one in ``tokenizer``."""
    expected = plan["tokenizer_hash"]
    if expected is not None and (found := identity(tokenizer)) != expected:
        raise UserError(
            f"corpus.sources.{source}.tokenizer_hash is {expected!r}: the tokenizer of this experiment "
            f"has {found!r}, so its ids mean other text; take the tokenizer that made the files"
        )


def scan(
    root: Path,
    file: dict[str, Any],
    plan: dict[str, Any],
    eos_id: int,
    vocabulary: int,
    target: Path,
) -> list[dict[str, Any]]:
    """The manifest's entries of a file: a range to train on, and one at its end that is held out.

    ``<target>.<split>.ends`` gets the documents' ends in each range (uint64). Raises ``UserError`` for
    an id outside ``vocabulary``, a file without its last eos, one that is not what ``corpus`` saw.
    """
    done = target.with_name(f"{target.name}.done.json")
    if done.is_file():
        return list(read_json(done))
    name, path = file["file"], root / file["file"]
    if not path.is_file() or path.stat().st_size != file["bytes"]:
        raise UserError(f"{name}: not the {file['bytes']:,} bytes that it had; fetch it again")
    ends, digest = [], hashlib.sha256()
    with open(path, "rb") as opened:
        digest.update(opened.read(file["header"]))
        dtype, first = np.dtype(file["dtype"]), 0
        while block := opened.read(BLOCK * dtype.itemsize):
            digest.update(block)
            ids = np.frombuffer(block, dtype)
            if int(ids.min()) < 0 or int(ids.max()) >= vocabulary:
                wrong = int(np.flatnonzero((ids < 0) | (ids >= vocabulary))[0])
                raise UserError(
                    f"{name}: token {first + wrong:,} is {int(ids[wrong])}, the tokenizer has ids up "
                    f"to {vocabulary - 1}; another dtype or another tokenizer made the file"
                )
            ends.append(np.flatnonzero(ids == eos_id) + (first + 1))
            first += len(ids)
    if digest.hexdigest() != file["sha256"]:
        raise UserError(f"{name}: changed since the stage corpus read it; run again")
    found = np.concatenate(ends).astype("<u8")
    if not len(found) or found[-1] != first:
        if plan["whole_documents"]:
            raise cut_short(name, int(ids[-1]), eos_id)
        found = np.append(found, np.uint64(first))
    entries = _split(file, found, plan, target)
    write_json(done, entries)
    return entries


def cut_short(name: str, last: int, eos_id: int) -> UserError:
    """What is said of a file whose last id is no eos."""
    return UserError(
        f"{name}: its last id is {last}, not the eos {eos_id}: it was cut short, or another tokenizer "
        "made it; fetch it again, or set whole_documents: false of its source"
    )


def _split(
    file: dict[str, Any], ends: NDArray[np.uint64], plan: dict[str, Any], target: Path
) -> list[dict[str, Any]]:
    """Whole documents at the file's end, ``validation_share`` of its tokens or more, validate."""
    total, held_out = int(ends[-1]), plan["validation_share"]
    cut = int(np.searchsorted(ends, total * (1.0 - held_out), side="right")) - 1
    bounds = [0, int(ends[cut]) if 0 <= cut < len(ends) - 1 else total, total]
    entries = []
    for split, start, end in zip(("train", "validation"), bounds[:-1], bounds[1:], strict=True):
        if start == end:
            continue
        inside = ends[(ends > start) & (ends <= end)] - np.uint64(start)
        with replacing(target.with_name(f"{target.name}.{split}.ends")) as temporary:
            inside.astype("<u8").tofile(temporary)
        entries.append(
            {
                "split": split,
                "file": file["file"],
                "outside": LISTED if "listed" in plan else True,
                "start": start,
                "tokens": end - start,
                "documents": len(inside),
                "control_strings": 0,
                "dtype": file["dtype"],
                "header": file["header"],
                "bytes": file["bytes"],
                "sha256": file["sha256"],
            }
        )
    return entries
