"""Tokenizer and token shards: digits alone, text comes back, Ray or not."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from transformers import AutoTokenizer

from stages.common import paths
from stages.common.errors import UserError
from stages.common.files import read_json, write_json, write_jsonl
from stages.common.tokens import DTYPE, TokenStore
from stages.tokenize.encode import encode_file
from stages.tokenizer.stage import fetch, train

SYLLABLES = [c + v for c in "bdfgklmnprst" for v in "aeiou"]
TEXTS = [
    f"The number for {SYLLABLES[n % 60]}{SYLLABLES[n * 7 % 59]} is {n * 7919 % 10000}. Größe, 日本."
    for n in range(300)
]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tokenizer")
    train(iter(TEXTS), 400).save_pretrained(folder)
    return folder


def test_numbers_are_digits_and_text_comes_back(tokenizer: Path) -> None:
    loaded = AutoTokenizer.from_pretrained(tokenizer)
    for text in [*TEXTS[:20], "  indented\n\n\ttabs", "x=12345;"]:
        assert loaded.decode(loaded.encode(text)) == text
    pieces = loaded.tokenize("value 12345 and 67")
    digits = [piece for piece in pieces if any(c.isdigit() for c in piece)]
    assert len(digits) == 7
    assert digits[0].endswith("1")
    assert len(digits[0]) == 2  # the first digit takes its space along
    assert loaded.eos_token_id is not None
    assert loaded.padding_side == "left"


def test_training_is_deterministic(tokenizer: Path, tmp_path: Path) -> None:
    train(iter(TEXTS), 400).save_pretrained(tmp_path)
    assert (tmp_path / "tokenizer.json").read_bytes() == (tokenizer / "tokenizer.json").read_bytes()


def test_a_vocabulary_that_the_corpus_cannot_fill_is_refused() -> None:
    with pytest.raises(
        UserError, match=r"tokenizer\.vocab_size is 5000, but the corpus yields only"
    ):
        train(iter(TEXTS), 5000)


def test_a_missing_source_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"tokenizer\.source is .*no such folder"):
        fetch(str(tmp_path / "absent"), None)


def test_shards_hold_every_document_with_its_end(tokenizer: Path, tmp_path: Path) -> None:
    source = tmp_path / "a.jsonl"
    write_jsonl(source, ({"text": text} for text in TEXTS))
    entries = encode_file(source, tokenizer, 0, 1000, tmp_path / "a")
    assert len(entries) > 3
    loaded = AutoTokenizer.from_pretrained(tokenizer)
    decoded = []
    for entry in entries:
        ids = np.fromfile(tmp_path / entry["name"], DTYPE)
        ends = np.fromfile((tmp_path / entry["name"]).with_suffix(".ends"), "<u8")
        assert len(ids) == entry["tokens"] == ends[-1]
        assert entry["documents"] == len(ends)
        for start, end in zip([0, *ends[:-1]], ends, strict=True):
            assert ids[end - 1] == 0
            decoded.append(loaded.decode(ids[int(start) : int(end) - 1]))
    assert decoded == TEXTS
    mtimes = {file: file.stat().st_mtime_ns for file in tmp_path.glob("a-*")}
    assert encode_file(source, tokenizer, 0, 1000, tmp_path / "a") == entries
    assert mtimes == {file: file.stat().st_mtime_ns for file in tmp_path.glob("a-*")}
    shard = tmp_path / entries[1]["name"]
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-4])
    assert encode_file(source, tokenizer, 0, 1000, tmp_path / "a") == entries
    assert shard.read_bytes() == whole


@pytest.mark.ray
def test_the_stage_on_ray(
    tokenizer: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ray_session: str
) -> None:
    from pipeline.use import profiles
    from stages.common import entry
    from stages.tokenize.stage import STAGE

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REPO_RUNS", str(tmp_path / "runs"))
    Path("params.yaml").write_text(profiles()["smoke"])
    for split in ("train", "validation"):
        write_jsonl(paths.CORPUS / split / "web-00000.jsonl", ({"text": text} for text in TEXTS))
    odd = "see <|endoftext|> here"
    write_jsonl(paths.CORPUS / "train" / "odd-00000.jsonl", ({"text": odd} for _ in range(3)))
    write_json(paths.CORPUS / "manifest.json", {})
    paths.TOKENIZER.mkdir()
    for file in tokenizer.iterdir():
        (paths.TOKENIZER / file.name).write_bytes(file.read_bytes())
    write_json(paths.TOKENIZER / "manifest.json", {"eos_id": 0, "vocab_size": 400})
    assert entry.attempt(STAGE).code == 0
    store = TokenStore(paths.TOKENS)
    assert store.sources("train") == ["odd", "web"]
    found = [s for s in store.manifest["shards"] if s["source"] == "odd"]
    assert [(s["documents"], s["control_strings"]) for s in found] == [(3, 3)]
    assert int((store.stream("train", ["odd"]).read(0, found[0]["tokens"]) == 0).sum()) == 3
    assert len(store.stream("train")) == sum(
        s["tokens"]
        for s in read_json(paths.TOKENS / "manifest.json")["shards"]
        if s["split"] == "train"
    )
    before = {file: file.stat() for file in paths.TOKENS.rglob("*.npy")}
    shutil.rmtree("runs/tokenize")  # as the conductor does once DVC has the outs
    # The same documents as those of `odd`, under a name of their own.
    write_jsonl(paths.CORPUS / "train" / "new-00000.jsonl", ({"text": odd} for _ in range(3)))
    write_json(paths.CORPUS / "manifest.json", {"one": "more source"})
    assert entry.attempt(STAGE).code == 0
    assert TokenStore(paths.TOKENS).sources("train") == ["new", "odd", "web"]
    names = [shard["file"] for shard in TokenStore(paths.TOKENS).manifest["shards"]]
    assert len(names) == len(set(names))
    for file in paths.TOKENS.rglob("*.npy"):  # the very same files: nothing was encoded twice
        known = before.get(file, file.stat())
        assert (known.st_ino, known.st_mtime_ns) == (file.stat().st_ino, file.stat().st_mtime_ns)
    (paths.CORPUS / "train" / "web-00000.jsonl").write_text('{"txt": 1}')
    write_json(paths.CORPUS / "manifest.json", {"other": 1})
    status = entry.attempt(STAGE)
    assert status.code == 2
    assert "web-00000.jsonl line 1: not a document of the stage corpus" in status.line


def test_a_document_in_parts_is_one_document(
    tokenizer: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from stages.tokenize import encode, long_texts

    long = " ".join(TEXTS * 3)
    write_jsonl(tmp_path / "a.jsonl", ({"text": text} for text in (TEXTS[0], long, TEXTS[1])))
    whole = encode_file(tmp_path / "a.jsonl", tokenizer, 0, 1_000_000, tmp_path / "whole")
    parts = long_texts.parts
    monkeypatch.setattr(encode, "parts", lambda text, encoder: parts(text, encoder, part=700))
    monkeypatch.setattr(encode, "BATCH_CHARACTERS", 1500)
    cut = encode_file(tmp_path / "a.jsonl", tokenizer, 0, 1_000_000, tmp_path / "cut")
    assert [{**entry, "name": ""} for entry in cut] == [{**entry, "name": ""} for entry in whole]
    assert cut[0]["documents"] == 3
