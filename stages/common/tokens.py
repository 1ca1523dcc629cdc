"""Reading of token shards: memory-mapped, checked against their manifest.

A shard is a flat little-endian uint32 file without a header, named ``.npy`` as OLMo's tools expect; or
a range of a file of the user's (``outside``), which has its own integer type and perhaps a header.
"""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.common.errors import UserError
from stages.common.files import fingerprint, read_json
from stages.common.token_files import home

DTYPE = np.dtype("<u4")
Ids = NDArray[np.uint32]
LISTED = "listed"
"""``outside`` of a shard whose file is one of a published list (``stages.common.token_files``)."""
SPLIT = "validation"
"""The part whose loss is measured and which nothing trains on."""


class TokenStream:
    """The shards of a split as one long 1-D sequence of token ids."""

    def __init__(self, shards: list[NDArray[Any]]) -> None:
        self._shards = shards
        self._ends = np.cumsum([len(shard) for shard in shards])

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    def read(self, start: int, count: int) -> Ids:
        """Copy ``count`` ids from position ``start`` on, across the ends of shards."""
        if start < 0 or start + count > len(self):
            raise IndexError(f"tokens {start}..{start + count} of {len(self)}")
        parts: list[Ids] = []
        shard = int(np.searchsorted(self._ends, start, side="right"))
        while count > 0:
            offset = start - (int(self._ends[shard - 1]) if shard else 0)
            part = self._shards[shard][offset : offset + count]
            parts.append(part.astype(DTYPE, copy=False))
            start, count, shard = start + len(part), count - len(part), shard + 1
        return np.concatenate(parts)


class TokenStore:
    """The out of ``tokenize``; opening it checks every shard's size, which is cheap at any scale."""

    def __init__(self, folder: Path, token_files: Path | None = None) -> None:
        """``token_files``: where files of a list are; none: as this process's ``REPO_*`` say, which a
        worker on another machine does not have."""
        self.folder, self._token_files = folder, token_files or home()
        self.manifest = read_json(folder / "manifest.json")
        for shard in self.manifest["shards"]:
            file = self._file(shard)
            size = file.stat().st_size if file.is_file() else -1
            if shard.get("outside"):
                if size != shard["bytes"]:
                    raise UserError(
                        f"{file}: {max(size, 0)} bytes, not the {shard['bytes']} that it had when "
                        "tokenize saw it; put the file back, or run tokenize again"
                    )
            elif size != shard["tokens"] * DTYPE.itemsize:
                raise UserError(
                    f"{file}: {max(size, 0)} bytes where the manifest says "
                    f"{shard['tokens'] * DTYPE.itemsize}: the shard is damaged; make it anew with "
                    "`repo-pipeline run tokenize --force`"
                )

    @property
    def fingerprint(self) -> str:
        """Hash of the manifest, which lists the hashes of the shards (16 hexadecimal digits)."""
        return fingerprint(self.folder)[:16]

    @property
    def vocab_size(self) -> int:
        """Entries of the tokenizer that made the tokens."""
        return int(self.manifest["vocab_size"])

    @property
    def eos_id(self) -> int:
        """Id that ends every document."""
        return int(self.manifest["eos_id"])

    def sources(self, split: str) -> list[str]:
        """Names of the sources that have documents in ``split`` (``train`` or ``validation``)."""
        shards = self.manifest["shards"]
        return sorted({s["source"] for s in shards if s["split"] == split and s["tokens"]})

    def stream(self, split: str, sources: Collection[str] | None = None) -> TokenStream:
        """Tokens of the split, of the named sources (none: all), shards in the manifest's order."""
        known = self.sources(split)
        if unknown := sorted(set(sources or ()) - set(known)):
            raise UserError(f"{self.folder}: {split} has no source {unknown[0]!r}, only {known}")
        shards = [
            shard
            for shard in self.manifest["shards"]
            if shard["split"] == split
            and shard["tokens"]
            and (sources is None or shard["source"] in sources)
        ]
        if not shards:
            raise UserError(f"{self.folder}: no tokens in split {split!r}")
        return TokenStream([self._ids(shard) for shard in shards])

    def _file(self, shard: Mapping[str, Any]) -> Path:
        """The shard's file; one outside stands relative to the project: ``<project>/data/tokens``."""
        if shard.get("outside") == LISTED:
            return self._token_files / str(shard["file"])
        if shard.get("outside"):
            return Path(self.folder.absolute().parents[1] / shard["file"])
        return Path(self.folder / shard["file"])

    def _ids(self, shard: Mapping[str, Any]) -> NDArray[Any]:
        if not shard.get("outside"):
            return np.memmap(self._file(shard), dtype=DTYPE, mode="r")
        kind = np.dtype(shard["dtype"])
        first = shard["header"] + shard["start"] * kind.itemsize
        count = (shard["tokens"],)
        return np.memmap(self._file(shard), dtype=kind, mode="r", offset=first, shape=count)
