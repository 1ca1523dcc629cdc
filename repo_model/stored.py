"""The dtype of weights as they are stored; config.json may name another, which would round them."""

import json
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from transformers.utils import cached_file

DTYPES = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
INDEX, SINGLE = "model.safetensors.index.json", "model.safetensors"


def stored_dtypes(path_or_id: str | Path, **hub: Any) -> set[torch.dtype]:
    """The floating dtypes of a folder's or hub id's safetensors.

    Raises:
        ValueError: a damaged file, or weights in a format that is no floating dtype of ours.
    """
    found = {name for file in _files(path_or_id, hub) for name in _dtypes_of(file)}
    return {DTYPES[name] for name in found if name in DTYPES}


def common_dtype(dtypes: Iterable[torch.dtype]) -> torch.dtype | None:
    """The dtype that holds every one of `dtypes` exactly; None for none."""
    common: torch.dtype | None = None
    for dtype in dtypes:
        common = dtype if common is None else torch.promote_types(common, dtype)
    return common


def _files(path_or_id: str | Path, hub: dict[str, Any]) -> list[Path]:
    def find(name: str) -> Path | None:
        options = {"_raise_exceptions_for_missing_entries": False, **hub}
        file = cached_file(str(path_or_id), name, **options)
        return None if file is None else Path(file)

    index = find(INDEX)
    if index is None:
        names = {SINGLE}
    else:
        names = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
    return [file for name in sorted(names) if (file := find(name)) is not None]


def _dtypes_of(file: Path) -> set[str]:
    with file.open("rb") as stream:
        head = stream.read(8)
        size = struct.unpack("<Q", head)[0] if len(head) == 8 else 0
        try:
            header = json.loads(stream.read(size))
        except (ValueError, OverflowError, MemoryError):
            raise ValueError(f"{file}: a weight file is damaged or cut short") from None
    return {entry["dtype"] for name, entry in header.items() if name != "__metadata__"}
