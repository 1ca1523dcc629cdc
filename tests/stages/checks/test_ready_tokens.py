"""Ready token files are judged before a run: by size, last id, range of ids, tokenizer's hash."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stages.common.files import write_json
from stages.common.tokenizer_file import identity
from stages.tokenizer.stage import train as train_tokenizer
from tests.stages.checks.conftest import Check, write_model
from tests.stages.tokenize.test_tokenize import TEXTS

WORDS = 1000


@pytest.fixture
def ready(own: dict[str, Any], tmp_path: Path) -> dict[str, Any]:
    """The own model with 100,000 ready tokens in two files, made by its tokenizer."""
    write_model(tmp_path / "my-model")
    words = {f"w{number}": number for number in range(WORDS)}
    tokenizer = {"model": {"type": "WordLevel", "vocab": words, "unk_token": "w1"}}
    write_json(tmp_path / "my-model/tokenizer.json", tokenizer)
    ids = np.random.default_rng(0).integers(1, WORDS, 50_000, dtype=np.uint32)
    ids[::50] = ids[-1] = 0
    (tmp_path / "ids").mkdir()
    for name in ("a.npy", "b.npy"):
        ids.tofile(tmp_path / "ids" / name)
    source = {"kind": "tokens", "path": "ids", "tokenizer_hash": identity(tmp_path / "my-model")}
    changes = {"corpus.source": "named", "corpus.needs": "ids", "corpus.path": None}
    return {**own, **changes, "corpus.sources": {"web": source}, "train.tokens": 65536}


WRONG: dict[str, tuple[str, dict[str, Any], str, str]] = {
    "one token short": ("cut", {}, "corpus.sources.web.path", r"b.npy: its last id is"),
    "a byte short": ("byte", {}, "corpus.sources.web.path", r"b.npy: 199,999 bytes are no"),
    "another vocabulary": ("large", {}, "corpus.sources.web.path", r"b.npy: has the id 1000"),
    "another dtype": ("", {"dtype": "uint16"}, "corpus.sources.web.path", r"a.npy"),
    "no folder": ("", {"path": "gone"}, "corpus.sources.web.path", r"no such file"),
    "another tokenizer": (
        "",
        {"tokenizer_hash": "0" * 16},
        "corpus.sources.web.tokenizer_hash",
        "its ids mean other text",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_files_are_refused(
    name: str, ready: dict[str, Any], check: Check, tmp_path: Path
) -> None:
    assert check(ready) == []
    spoilt, changes, field, said = WRONG[name]
    file = tmp_path / "ids/b.npy"
    ids = np.fromfile(file, np.uint32)
    if spoilt == "cut":
        ids[:-1].tofile(file)
    elif spoilt == "byte":
        file.write_bytes(file.read_bytes()[:-1])
    elif spoilt == "large":
        ids[7] = WORDS
        ids.tofile(file)
    source = {**ready["corpus.sources"]["web"], **changes}
    given = {**ready, "corpus.sources": {"web": source}, "corpus.needs": source["path"]}
    found = [one for one in check(given) if one.level == "refuse"]
    assert found[0].field == field, [one.line for one in found]
    assert said in found[0].line


def test_a_hash_that_is_not_given_is_told(ready: dict[str, Any], check: Check) -> None:
    source = {**ready["corpus.sources"]["web"], "tokenizer_hash": None}
    (found,) = check({**ready, "corpus.sources": {"web": source}})
    assert found.level == "warn"
    assert ready["corpus.sources"]["web"]["tokenizer_hash"] in found.fix


def test_the_hash_survives_another_spelling_of_the_file(tmp_path: Path) -> None:
    train_tokenizer(iter(TEXTS), 300).save_pretrained(tmp_path)
    before, file = identity(tmp_path), tmp_path / "tokenizer.json"
    content = json.loads(file.read_text())
    content["model"]["merges"] = [" ".join(pair) for pair in content["model"]["merges"]]
    file.write_text(json.dumps(content))
    assert identity(tmp_path) == before


def test_few_ready_tokens_are_many_passes(ready: dict[str, Any], check: Check) -> None:
    (found,) = check({**ready, "train.tokens": 1 << 20})
    assert (found.level, found.field) == ("warn", "train.tokens")
    assert "10 passes" in found.why or "12 passes" in found.why or "11 passes" in found.why


def test_more_passes_than_allowed_are_refused_before_anything_is_made(
    ready: dict[str, Any], check: Check
) -> None:
    def phase(**target: float) -> list[dict[str, Any]]:
        return [{"length": 256, "share": 1.0, "sources": {"web": {"share": 1.0, **target}}}]

    assert check({**ready, "train.lengths": phase(max_passes=4.0)}) == []
    found = check({**ready, "train.lengths": phase(max_passes=8.0), "train.tokens": 1 << 20})
    (refused,) = [one for one in found if one.level == "refuse"]
    assert (refused.field, refused.value) == ("train.lengths", "web: 100.0%")
    assert "max_passes is 8" in refused.line
    (unknown,) = check(
        {**ready, "train.lengths": [{**phase()[0], "sources": {"x": {"share": 1.0}}}]}
    )
    assert (unknown.level, unknown.field) == ("refuse", "train.lengths")
