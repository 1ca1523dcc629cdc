"""A published list of token files: their names by source, rounded counts, and what was learned of them.

The list is JSON and part of the params' identity. ``tokens.lock.json`` beside it has the size and the
SHA-256 of every file that was ever fetched or read: learned the first time, checked from then on.
"""

import contextlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from stages.common.errors import UserError
from stages.common.files import read_json, write_json

LOCK = "tokens.lock.json"
FORMAT = 1
ID_BYTES = {"uint16": 2, "uint32": 4}

Known = dict[str, dict[str, Any]]
"""File -> ``bytes`` and ``sha256``."""


@dataclass(frozen=True)
class Listed:
    """The files of one source."""

    address: str
    """Where the list says that they are; ``REPO_TOKEN_FILES`` comes before it."""
    dtype: str
    tokenizer_hash: str
    """``stages.common.tokenizer_file.identity`` of the tokenizer that made the ids."""
    tokens_rounded: int
    files: tuple[str, ...]
    """Relative to the address, in order of their names."""

    def bytes(self, known: Known) -> tuple[float, bool]:
        """Of all files, and whether it is counted; reckoned from the rounded tokens where not."""
        if all(name in known for name in self.files):
            return float(sum(known[name]["bytes"] for name in self.files)), True
        return float(self.tokens_rounded * ID_BYTES[self.dtype]), False


def read(list_file: Path, source: str, shown: str) -> Listed:
    """What the list says of ``source``; ``UserError`` names ``shown``, its path in the params."""
    key = f"corpus.sources.{source}.files"
    if not list_file.is_file():
        raise UserError(f"{key} is {shown!r}: no such file; name a list of token files")
    try:
        content = read_json(list_file)
        found = content["sources"]
        if source not in found:
            raise UserError(
                f"{key} is {shown!r}: it lists no source {source!r}; it has {', '.join(found)}"
            )
        one = found[source]
        names = tuple(sorted(one["files"]))
        listed = Listed(
            str(content["address"]),
            content["dtype"],
            content["tokenizer_hash"],
            int(one["tokens_rounded"]),
            names,
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f"{key} is {shown!r}: not a list of token files ({error!r})") from None
    outside = [n for n in names if PurePosixPath(n).is_absolute() or ".." in PurePosixPath(n).parts]
    if outside or not names or listed.dtype not in ID_BYTES:
        why = f"{outside[0]!r} is no relative name" if outside else "no files, or an unknown dtype"
        raise UserError(f"{key} is {shown!r}: {why}; correct the list")
    return listed


def known(*folders: Path) -> Known:
    """What the locks in ``folders`` know; ``UserError`` where two of them differ."""
    found: Known = {}
    for folder in folders:
        file = folder / LOCK
        if not file.is_file():
            continue
        content = read_json(file)
        if content.get("format") != FORMAT:
            raise UserError(f"{file}: format {content.get('format')!r}, this code reads {FORMAT}")
        for name, entry in content["files"].items():
            if found.setdefault(name, entry) != entry:
                raise UserError(
                    f"{file}: {name} has {entry['bytes']:,} bytes and SHA-256 {entry['sha256'][:12]}, "
                    f"another lock has {found[name]['bytes']:,} and {found[name]['sha256'][:12]}; "
                    "find out which is right, and delete the other"
                )
    return found


def learn(learned: Known, *folders: Path) -> None:
    """Add what was learned to the locks; a folder that cannot be written keeps its own."""
    for folder in folders:
        before = known(folder)
        if learned.items() <= before.items():
            continue
        with contextlib.suppress(OSError):  # the list may be part of a read-only installation
            write_json(folder / LOCK, {"format": FORMAT, "files": {**before, **learned}})


def check(name: str, size: int, digest: str | None, wanted: Known) -> None:
    """Refuse a file that is not the one that was learned; ``digest`` none: only the size is known."""
    entry = wanted.get(name)
    if entry is None:
        return
    if size != entry["bytes"]:
        raise UserError(
            f"{name}: {size:,} bytes, {LOCK} has {entry['bytes']:,}; it was cut short or changed: "
            "delete it and run again to fetch it anew"
        )
    if digest is not None and digest != entry["sha256"]:
        raise UserError(
            f"{name}: its SHA-256 is {digest[:12]}…, {LOCK} has {entry['sha256'][:12]}…; it changed: "
            "delete it and run again to fetch it anew"
        )
