"""The base model before it is loaded: files, family, frequencies."""

import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stages.base.params import Architecture, BaseParams
from stages.common.config_numbers import odd_number
from stages.common.findings import Finding, refuse, warn
from stages.common.seen import Seen
from stages.common.shape import FAMILIES
from stages.training import check as training

ROPE_TYPES = ("default", "linear", "llama3", "yarn")
"""What ``repo_model.frequencies`` reads on layers with learned positions (a test holds the two equal);
another would show when the first such training starts."""
FIELD = "base.source"
MADE_HERE = "smollm2-135m"
"""What ``examples/smollm2.py`` makes."""
MOMENTS = "optim.pt"
"""Adam's state in an OLMo-native folder (``native_moments.FILE``; a test holds the two equal)."""
KINDS = {"full_attention", "sliding_attention"}
"""What a layer of the supported families can be."""
LAYER = re.compile(r"(?:model\.)?layers\.(\d+)\.")
SINGLE = "model.safetensors"
_LFS = b"version https://git-lfs"


def check(seen: Seen) -> Iterator[Finding]:
    """Findings of ``base``."""
    base = seen.params.base
    if base.source == "scratch":
        if base.training is not None:
            assert base.architecture is not None
            window = base.architecture.max_position_embeddings
            yield from training.check(seen, "base.training", base.training, window)
        yield from _of_scratch(base)
        if base.needs != "data/tokens":
            yield refuse(
                "base.needs",
                base.needs,
                "a base from scratch is trained on the tokens and must wait for them",
                "set base.needs=data/tokens",
            )
        return
    if seen.made_here(base.source):
        yield refuse(FIELD, base.source, "made by this pipeline", "name the original model")
        return
    if base.revision is not None and (seen.root / base.source).is_dir():
        yield refuse(
            "base.revision", base.revision, "a folder on this machine has none", "leave it out"
        )
    if seen.base.folder is None:
        if not seen.base.on_hub:
            level = seen.absent(base.source)
            fix = "a hub id is OWNER/NAME"
            if Path(base.source).name == MADE_HERE:
                fix = "`python examples/smollm2.py` makes it"
            yield level(FIELD, base.source, "no such folder", fix)
        yield from seen.unreachable(FIELD, base.source, cached=False)
        return
    yield from _files(seen, seen.base.folder)
    yield from _watched(seen)
    if base.moments and not (seen.base.folder / MOMENTS).is_file():
        yield refuse(
            "base.moments",
            True,
            f"{base.source!r} has no {MOMENTS}",
            "give an OLMo-native folder, or false",
        )
    if base.architecture is not None and seen.base.config is not None:
        yield from _as_said(base.architecture, seen.base.config)


def _of_scratch(base: BaseParams) -> Iterator[Finding]:
    """What only a model that is there already can have."""
    for key, value in (("revision", base.revision), ("moments", base.moments or None)):
        if value is not None:
            yield refuse(f"base.{key}", value, "a base from scratch has none", "leave it out")
    shape, start = base.architecture, base.start
    if shape is not None and shape.tie_word_embeddings and start is not None and start.head_scale:
        yield refuse(
            "base.architecture.tie_word_embeddings",
            True,
            f"base.start.head_scale {start.head_scale:g} gives the head weights of its own",
            "set one of them to false or 0",
        )


def _watched(seen: Seen) -> Iterator[Finding]:
    base = seen.params.base
    if (seen.root / base.source).is_dir() and Path(base.needs) != Path(base.source):
        yield warn(
            "base.needs",
            base.needs,
            f"the base is the folder {base.source!r}, and DVC would not see it change",
            f"set base.needs={base.source}",
        )


def _files(seen: Seen, folder: Path) -> Iterator[Finding]:
    source, config = seen.params.base.source, seen.base.config
    if (folder / "adapter_config.json").is_file():
        yield refuse(
            FIELD, source, "an adapter (LoRA), no whole model", "merge it into its base first"
        )
        return
    if config is None:
        what = "config.json is no JSON object"
        if not (folder / "config.json").is_file():
            what = "no config.json in it; not a model folder"
        yield refuse(FIELD, source, what, "name a Hugging Face model folder")
        return
    yield from _config(seen)
    if (seen.root / source).is_dir():  # the hub's cache may hold only a part yet
        yield from _weights(seen, source, folder)


def _config(seen: Seen) -> Iterator[Finding]:
    source, config = seen.params.base.source, seen.base.config or {}
    family = str(config.get("model_type", "")).removeprefix("repo_")
    if family not in FAMILIES:
        yield refuse(
            FIELD,
            source,
            f"model_type {config.get('model_type')!r} is not supported",
            f"take a model of {', '.join(FAMILIES)}",
        )
        return
    if quantised := config.get("quantization_config") or config.get("compression_config"):
        method = quantised.get("quant_method") if isinstance(quantised, dict) else str(quantised)
        yield refuse(
            FIELD,
            source,
            f"its weights are quantised ({method or 'how, is not said'}) and cannot be trained on",
            "take the model in bf16, fp16 or fp32",
        )
    architectures = config.get("architectures") or []
    architectures = architectures if isinstance(architectures, list) else [architectures]
    if architectures and not any("CausalLM" in str(name) for name in architectures):
        yield refuse(
            FIELD,
            source,
            f"{architectures[0]} is no causal language model",
            "take the folder of its base model, ...ForCausalLM",
        )
    if seen.base.rope_type not in ROPE_TYPES:
        yield refuse(
            FIELD,
            source,
            f"rope_type {seen.base.rope_type!r} is not supported",
            f"take a model with {', '.join(ROPE_TYPES)}",
        )
    partial = config.get("partial_rotary_factor", seen.base.rope.get("partial_rotary_factor", 1.0))
    if partial not in (None, 1, 1.0) and family != "phi3":
        yield refuse(
            FIELD,
            source,
            f"partial_rotary_factor is {partial}; RePo rotates whole heads",
            "take a model that rotates them too",
        )
    yield from _shape(source, config)


def _shape(source: str, config: dict[str, object]) -> Iterator[Finding]:
    """Numbers of config.json that no model can have."""
    if odd := odd_number(config):
        yield refuse(FIELD, source, f"config.json: {odd}", "copy the model's files again")
        return
    width, heads = int(str(config["hidden_size"])), int(str(config["num_attention_heads"]))
    shared = config.get("num_key_value_heads") or heads
    if not isinstance(shared, int) or shared < 1 or heads % shared:
        yield refuse(
            FIELD,
            source,
            f"config.json: num_attention_heads {heads} does not divide by "
            f"num_key_value_heads {shared}",
            "copy the model's files again",
        )
    layers, kinds = config["num_hidden_layers"], config.get("layer_types")
    if kinds is not None and (
        not isinstance(kinds, list) or len(kinds) != layers or not set(map(str, kinds)) <= KINDS
    ):
        yield refuse(
            FIELD,
            source,
            f"config.json: layer_types must name one of {', '.join(sorted(KINDS))} for each of "
            f"{layers} layers",
            "copy the model's files again",
        )
    padding, rows = config.get("pad_token_id"), int(str(config["vocab_size"]))
    if padding is not None and (type(padding) is not int or padding >= rows):
        yield refuse(
            FIELD,
            source,
            f"config.json: pad_token_id {padding!r} is no row of the embedding's {rows}",
            "correct it, or set it to null",
        )
    head = config.get("head_dim") or width / heads
    if isinstance(head, (int, float)) and head % 2:
        yield refuse(
            FIELD,
            source,
            f"its heads are {head:g} wide; a rotation needs an even width",
            "take another model",
        )


def _as_said(said: Architecture, config: dict[str, object]) -> Iterator[Finding]:
    """``base.architecture`` of a model that has a shape of its own."""
    for name, value in said.model_dump().items():
        found = config.get(name)
        if isinstance(value, int) and found is not None and found != value:
            yield refuse(
                f"base.architecture.{name}", value, f"the model has {found}", "leave it out"
            )
            return


def _weights(seen: Seen, source: str, folder: Path) -> Iterator[Finding]:
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
        except (ValueError, KeyError, AttributeError, OSError, TypeError):
            yield refuse(FIELD, source, f"{index.name} cannot be read", "copy the files again")
            return
    if missing := sorted(map(str, listed - names)):
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
        shapes = {key: row for name in read for key, row in headers[name].items()}
        if unlike := _unlike(seen, shapes):
            yield refuse(FIELD, source, unlike, "copy the model's files again, all from one place")


def _unlike(seen: Seen, shapes: dict[str, Any]) -> str | None:
    """What of the weights' names and shapes config.json says otherwise; the rest shows at loading."""
    shape = seen.base.shape
    layers = [int(found[1]) for name in shapes if (found := LAYER.match(name))]
    if shape is None or not layers:
        return None
    if max(layers) + 1 != shape.layers:
        return f"its weights have {max(layers) + 1} layers, config.json says {shape.layers}"
    for name in ("model.embed_tokens.weight", "embed_tokens.weight", "lm_head.weight"):
        rows = shapes[name]["shape"][0] if name in shapes else shape.vocabulary
        if rows != shape.vocabulary:
            return f"{name} has {rows} rows, config.json says vocab_size {shape.vocabulary}"
    for name, heads in (("q_proj", shape.heads), ("k_proj", shape.kv_heads)):
        for weight in (n for n in shapes if n.endswith(f"layers.0.self_attn.{name}.weight")):
            if (rows := shapes[weight]["shape"][0]) != heads * shape.head_width:
                return f"{weight} has {rows} rows, config.json says {heads} heads of {shape.head_width}"
    biases = sum(math.prod(row["shape"]) for n, row in shapes.items() if n.endswith(".bias"))
    if biases != shape.biases:
        return f"its biases have {biases:,} elements, config.json asks for {shape.biases:,}"
    if "lm_head.weight" not in shapes and not shape.tied:
        return "it has no lm_head.weight, and config.json does not tie it to the embedding"
    return None


def _header(file: Path) -> dict[str, Any] | str:
    """The tensors of a safetensors file (8 bytes of length, JSON, data), or what is wrong with it."""
    damage, size = "is damaged or cut short", file.stat().st_size
    with file.open("rb") as opened:
        start = opened.read(8)
        if (start + opened.read(16)).startswith(_LFS):
            return "is a pointer of git-lfs, not the weights (`git lfs pull`)"
        length = int.from_bytes(start, "little")
        if len(start) < 8 or length > min(size, 2**30):
            return damage
        opened.seek(8)
        try:
            header = json.loads(opened.read(length))
            header.pop("__metadata__", None)
            ends = [row["data_offsets"][1] for row in header.values()]
            whole = 8 + length + max(ends, default=0) == size
            whole = whole and all(isinstance(row["shape"], list) for row in header.values())
        except (ValueError, KeyError, TypeError, IndexError, AttributeError):
            return damage
    return dict(header) if whole else damage
