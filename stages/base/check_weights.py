"""A base model's weights: the files, their headers, and names and shapes against config.json."""

import json
import re
from collections.abc import Iterator, Mapping
from math import prod
from pathlib import Path
from typing import Any

from stages.base import config_kinds, weight_names
from stages.common.findings import Finding, refuse
from stages.common.seen import Seen
from stages.common.shape import FAMILIES, Shape, of_config

FIELD = "base.source"
SINGLE = "model.safetensors"
BITS = {
    "F64": 64, "F32": 32, "F16": 16, "BF16": 16, "F8_E4M3": 8, "F8_E5M2": 8, "I64": 64, "I32": 32,
    "I16": 16, "I8": 8, "U64": 64, "U32": 32, "U16": 16, "U8": 8, "BOOL": 8,
}  # fmt: skip
"""Of an element, by safetensors' names for dtypes."""
WHOLE = ("I64", "I32", "I16", "I8", "U64", "U32", "U16", "U8", "BOOL")
"""Dtypes of packed weights."""
OLD = "rotary_emb.inv_freq"
"""In files of before 2023; transformers drops it where a model has one set of frequencies."""
SEVERAL = ("olmo3", "gemma3_text")
"""Families with frequencies by kind of layer."""
MAPS = re.compile(r"model\.layers\.\d+\.self_attn\.(?:gate|content|final)_map\.weight")
LAYER = re.compile(r"model\.layers\.(\d+)\.")
AGAIN = "copy the model's files again, all from one place"
UNWRAP = (
    "unwrap the model first (DDP and FSDP: .module, torch.compile: ._orig_mod, PEFT: "
    "merge_and_unload()) and save it with save_pretrained"
)
LFS = b"version https://git-lfs"


def check(seen: Seen, source: str, folder: Path) -> Iterator[Finding]:
    """Findings of the weights in ``folder``."""
    names = {entry.name for entry in folder.iterdir()}
    index = folder / "model.safetensors.index.json"
    found = sorted(name for name in names if name.endswith(".safetensors"))
    if not found and not index.is_file():
        pickles = sorted(n for n in names if n.endswith((".bin", ".pt", ".pth", ".ckpt", ".gguf")))
        what = f"only {pickles[0]}" if pickles else "no weights"
        yield refuse(
            FIELD, source, f"{what} in it; safetensors are needed", "save it as safetensors"
        )
        return
    if SINGLE not in names and not index.is_file():
        yield refuse(
            FIELD,
            source,
            f"{found[0]} in it, but neither {SINGLE} nor {index.name}: nobody would read it",
            "copy the files again, under their own names",
        )
        return
    listed: set[str] = set()
    if index.is_file():
        try:
            listed = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        except (ValueError, KeyError, AttributeError, OSError, TypeError, RecursionError):
            yield refuse(FIELD, source, f"{index.name} cannot be read", "copy the files again")
            return
    if missing := sorted(map(str, listed - set(found))):
        yield refuse(
            FIELD,
            source,
            f"{len(missing)} weight files are missing, first {missing[0]}",
            "copy the files again",
        )
    headers: dict[str, dict[str, Any]] = {}
    for name in found:
        header = _header(folder / name)
        if isinstance(header, str):
            yield refuse(FIELD, source, f"{name} {header}", "copy the file again")
        else:
            headers[name] = header
    if not missing and len(headers) == len(found):
        read = {SINGLE} if SINGLE in names else listed
        rows = {key: row for name in sorted(read) for key, row in headers[name].items()}
        yield from _unlike(seen, source, rows)


def _unlike(seen: Seen, source: str, rows: Mapping[str, Any]) -> Iterator[Finding]:
    """What of the weights' names, shapes and dtypes is not as config.json has the model."""
    config = seen.base.config or {}
    family = str(config.get("model_type", "")).removeprefix("repo_")
    if seen.base.shape is None or family not in FAMILIES:
        return  # said of config.json
    # A null is no value, as for the classes' own sums; of heads it means as many as the queries have.
    kept = {k: v for k, v in config.items() if v is not None or k == "num_key_value_heads"}
    config = {**config_kinds.defaults(family), **kept}
    shape = of_config(config)
    assert shape is not None
    needed = weight_names.expected(config, shape)
    named = {_plain(name, needed): name for name in rows}
    found = weight_names.unstacked({p: tuple(rows[name]["shape"]) for p, name in named.items()})
    own = (
        str((seen.base.config or {}).get("model_type")).startswith("repo_") or "pe_config" in config
    )
    if own:
        found = {name: size for name, size in found.items() if not MAPS.fullmatch(name)}
    if odd := _odd_names(found, needed, shape):
        what, first, fix = odd
        yield refuse(FIELD, source, f"{what} {named.get(first, first)}".strip(), fix)
        return
    packed = [name for name, row in rows.items() if row["dtype"] in WHOLE and OLD not in name]
    if packed:
        kind = rows[packed[0]]["dtype"]
        yield refuse(
            FIELD,
            source,
            f"{packed[0]} is stored in whole numbers ({kind}): its weights are packed or quantised",
            "take the model in bf16, fp16 or fp32",
        )


def _plain(name: str, needed: Mapping[str, Any]) -> str:
    """A weight's name as transformers takes it: with or without ``model.`` before it."""
    if (short := name.removeprefix("model.")) in needed or short == weight_names.HEAD:
        return short
    return name if name.startswith("model.") or name == weight_names.HEAD else f"model.{name}"


def _odd_names(
    found: weight_names.Shapes, needed: weight_names.Shapes, shape: Shape
) -> tuple[str, str, str] | None:
    """What is wrong, the weight that shows it, and the fix."""
    head, embedding = weight_names.HEAD, weight_names.EMBEDDING
    whole = {**needed, head: needed[embedding]}
    if shape.tied and head in found:  # either of the two gives the other
        needed = {name: size for name, size in needed.items() if name != embedding}
    missing = [name for name in needed if name not in found]
    strange = sorted(name for name in found if name not in whole and not _is_old(name, shape))
    layers = {int(number[1]) for name in found if (number := LAYER.match(name))}
    if layers and max(layers) + 1 != shape.layers:
        what = f"its weights have {max(layers) + 1} layers, config.json says {shape.layers}"
        return what, "", AGAIN
    if missing and strange:
        ends = [name for name in strange if name.endswith(missing[0].removeprefix("model."))]
        return f"it has no {missing[0]}; it has", (ends or strange)[0], UNWRAP if ends else AGAIN
    if missing == [head]:
        return f"it has no {head}, and config.json does not tie it to the embedding", "", AGAIN
    if missing:
        return f"{len(missing)} weights are missing, first {missing[0]}", "", AGAIN
    if strange:
        what = f"it has {len(strange):,} weights of which config.json says nothing, first"
        return what, strange[0], AGAIN
    for name, size in found.items():
        right = whole.get(name, size)
        if name in (embedding, head) and size != right and size[1:] == right[1:]:
            what = f"config.json says vocab_size {right[0]}, but there are {size[0]} rows in"
            return what, name, AGAIN
        if size != right:
            return f"by config.json {list(right)}, but {list(size)} is the shape of", name, AGAIN
    return None


def _is_old(name: str, shape: Shape) -> bool:
    return OLD in name and shape.family not in SEVERAL


def _header(file: Path) -> dict[str, Any] | str:
    """The tensors of a safetensors file (8 bytes of length, JSON, data), or what is wrong with it."""
    damage = "is damaged or cut short"
    try:
        size = file.stat().st_size
        with file.open("rb") as opened:
            start = opened.read(8)
            if (start + opened.read(16)).startswith(LFS):
                return "is a pointer of git-lfs, not the weights (`git lfs pull`)"
            length = int.from_bytes(start, "little")
            if len(start) < 8 or length > min(size, 2**30):
                return damage
            opened.seek(8)
            header = json.loads(opened.read(length))
        header.pop("__metadata__", None)
        return header if _is_whole(header, size - 8 - length) else damage
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError):
        return damage


def _is_whole(header: dict[str, Any], size: int) -> bool:
    """Whether the tensors lie one behind the other, each as large as its shape says, to the end."""
    places = sorted(tuple(row["data_offsets"]) for row in header.values())
    for row in header.values():
        begin, end = row["data_offsets"]
        bits = BITS.get(row["dtype"])
        if bits is not None and 8 * (end - begin) != bits * prod(row["shape"]):
            return False
    ends = [0, *(end for _, end in places)]
    return ends[-1] == size and all(
        begin == end for (begin, _), end in zip(places, ends[:-1], strict=True)
    )
