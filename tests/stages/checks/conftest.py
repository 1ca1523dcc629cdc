"""Projects and model folders for the checks: only the files that a check looks at."""

import json
import os
import struct
from collections.abc import Callable
from math import prod
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from pipeline.use import profiles
from stages.base.weight_names import Shapes, expected
from stages.checks import findings
from stages.common.config_numbers import odd_number
from stages.common.findings import Finding
from stages.common.seen import Place, Seen
from stages.common.shape import FAMILIES, of_config
from stages.params import Params

STAGES = [
    "corpus",
    "tokenizer",
    "tokenize",
    "base",
    "benchmarks",
    "train",
    "extend",
    "evaluate",
    "analyze",
    "report",
]
CONFIG: dict[str, Any] = {
    "model_type": "llama",
    "architectures": ["LlamaForCausalLM"],
    "hidden_size": 576,
    "intermediate_size": 1536,
    "num_hidden_layers": 30,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "vocab_size": 1000,
    "max_position_embeddings": 2048,
    "tie_word_embeddings": True,
}
Check = Callable[..., list[Finding]]
Own = dict[str, Any]
"""Changed values of params, by their dotted names."""


def write_model(folder: Path, words: int = 1000, **changes: Any) -> Path:
    """A model folder: config, its weights (a file of holes), a tokenizer."""
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps({**CONFIG, **changes}))
    sane = (
        odd_number({**CONFIG, **changes}) is None and changes.get("model_type", "llama") in FAMILIES
    )
    shapes = weights_of({**CONFIG, **changes} if sane else CONFIG)
    write_weights(folder / "model.safetensors", shapes)
    write_tokenizer(folder, words)
    return folder


def weights_of(config: dict[str, Any]) -> Shapes:
    """Names and shapes of a config's weights."""
    shape = of_config(config)
    assert shape is not None
    return expected(config, shape)


def write_weights(file: Path, shapes: Shapes, dtype: str = "BF16", **metadata: str) -> None:
    """A safetensors file of zeros that takes no room on the disk."""
    header: dict[str, Any] = {"__metadata__": metadata} if metadata else {}
    end = 0
    for name, size in shapes.items():
        start, end = end, end + 2 * prod(size)
        header[name] = {"dtype": dtype, "shape": list(size), "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    file.write_bytes(struct.pack("<Q", len(text)) + text)
    os.truncate(file, 8 + len(text) + end)


def write_tokenizer(folder: Path, words: int = 1000) -> None:
    """A tokenizer.json of ``words`` tokens."""
    folder.mkdir(exist_ok=True)
    vocabulary = {f"w{number}": number for number in range(words)}
    (folder / "tokenizer.json").write_text(json.dumps({"model": {"vocab": vocabulary}}))
    (folder / "tokenizer_config.json").write_text(json.dumps({"eos_token": "w0"}))


def write_texts(file: Path, rows: int = 3000) -> None:
    """JSONL of some 600 KB."""
    file.write_text("".join(json.dumps({"text": f"{n} " * 60}) + "\n" for n in range(rows)))


@pytest.fixture
def check(tmp_path: Path) -> Check:
    """Findings of all stages for the profile with some values changed, in ``tmp_path``."""

    def look(
        changes: dict[str, Any] | None = None,
        profile: str = "smoke",
        environment: dict[str, str] | None = None,
        place: Place | None = None,
        **how: Any,
    ) -> list[Finding]:
        content = YAML(typ="safe").load(profiles()[profile])
        for key, value in (changes or {}).items():
            *path, last = key.split(".")
            inside = content
            for part in path:
                inside = inside[int(part)] if isinstance(inside, list) else inside[part]
            inside[last] = value
        params = Params.model_validate(content)
        place = place or Place(2, None, 8e9)
        seen = Seen(params, tmp_path, environment or {}, place, **how)
        return list(findings(seen, STAGES))

    return look


@pytest.fixture
def own(tmp_path: Path) -> dict[str, Any]:
    """Changes to ``smoke`` that make a sane run of an own model and own documents."""
    write_model(tmp_path / "my-model")
    write_texts(tmp_path / "my.jsonl")
    return {
        "base.source": "my-model",
        "base.needs": "my-model",
        "base.architecture": None,
        "tokenizer.source": "my-model",
        "corpus.source": "local",
        "corpus.path": "my.jsonl",
        "corpus.needs": "my.jsonl",
        "corpus.generated": {},
        "train.lengths": [{"length": 256, "share": 1.0}],
        "train.lr": 1e-4,
        "train.start_layer": 10,
    }


@pytest.fixture(autouse=True)
def cores_with_bf16(monkeypatch: pytest.MonkeyPatch) -> None:
    """The cores of the machine under the test are no part of it."""
    monkeypatch.setattr("stages.training.check.fast_bf16", lambda: True)
