"""Ready token files through tokenize into training: ids checked, documents whole, nothing copied."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ruamel.yaml import YAML

from pipeline.overrides import compose
from stages.common import entry, paths
from stages.common.errors import UserError
from stages.common.files import read_json, sha256, write_json
from stages.common.tokenizer_file import identity
from stages.common.tokens import TokenStore
from stages.params import load
from stages.tokenize import ready
from stages.tokenizer.stage import train as train_tokenizer
from stages.training.counted import counted
from stages.training.order import DataOrder
from stages.training.params import TrainingParams
from tests.stages.corpus.token_server import serving
from tests.stages.tokenize.test_tokenize import TEXTS

EOS, WORDS = 0, 300


def _documents(count: int, seed: int = 0) -> np.ndarray:  # type: ignore[type-arg]
    draw = np.random.default_rng(seed)
    lengths = draw.integers(3, 40, count)
    return np.concatenate([np.append(draw.integers(1, WORDS, n), EOS) for n in lengths])


def _plan(file: Path, **changes: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    size = file.stat().st_size
    described = {"file": file.name, "dtype": "<u4", "header": 0, "tokens": size // 4}
    rules = {"tokenizer_hash": None, "validation_share": 0.1, "whole_documents": True, **changes}
    return {**described, "bytes": size, "sha256": sha256(file)}, rules


def test_a_file_is_two_ranges_of_whole_documents(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = _documents(100)
    ids.astype("<u4").tofile(tmp_path / "a.npy")
    monkeypatch.setattr(ready, "BLOCK", 64)
    file, rules = _plan(tmp_path / "a.npy")
    train, held = ready.scan(tmp_path, file, rules, EOS, WORDS, tmp_path / "a")
    assert (train["split"], held["split"]) == ("train", "validation")
    assert train["tokens"] == held["start"]
    assert train["tokens"] + held["tokens"] == len(ids)
    assert 0.1 <= held["tokens"] / len(ids) < 0.1 + 41 / len(ids)
    assert train["documents"] + held["documents"] == 100
    for entry_of, start in ((train, 0), (held, held["start"])):
        ends = np.fromfile(tmp_path / f"a.{entry_of['split']}.ends", "<u8")
        assert (ids[start + ends.astype(int) - 1] == EOS).all()
        assert len(ends) == entry_of["documents"]
        assert ends[-1] == entry_of["tokens"]


WRONG: dict[str, tuple[int | None, dict[str, Any], str]] = {
    "one token short": (None, {}, r"a\.npy: its last id is \d+, not the eos 0: it was cut short"),
    "an id outside": (WORDS, {}, r"a\.npy: token 7 is 300, the tokenizer has ids up to 299"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_file_is_named(name: str, tmp_path: Path) -> None:
    outside, rules, told = WRONG[name]
    ids = _documents(20)
    if outside is None:
        ids = ids[:-1]
    else:
        ids[7] = outside
    ids.astype("<u4").tofile(tmp_path / "a.npy")
    file, rules = _plan(tmp_path / "a.npy", **rules)
    with pytest.raises(UserError, match=told):
        ready.scan(tmp_path, file, rules, EOS, WORDS, tmp_path / "a")
    assert not list(tmp_path.glob("a.*.ends")) and not list(tmp_path.glob("*.done.json"))


def test_a_stream_may_end_anywhere_where_that_is_said(tmp_path: Path) -> None:
    _documents(20)[:-1].astype("<u4").tofile(tmp_path / "a.npy")
    file, rules = _plan(tmp_path / "a.npy", whole_documents=False)
    found = ready.scan(tmp_path, file, rules, EOS, WORDS, tmp_path / "a")
    assert sum(one["tokens"] for one in found) == file["tokens"]


def test_a_file_that_changed_is_named(tmp_path: Path) -> None:
    _documents(20).astype("<u4").tofile(tmp_path / "a.npy")
    file, rules = _plan(tmp_path / "a.npy")
    with pytest.raises(UserError, match=r"a\.npy: changed since"):
        ready.scan(tmp_path, {**file, "sha256": "0"}, rules, EOS, WORDS, tmp_path / "a")


def test_another_tokenizer_is_refused(tmp_path: Path) -> None:
    train_tokenizer(iter(TEXTS), 300).save_pretrained(tmp_path / "one")
    train_tokenizer((text[::-1] for text in TEXTS), 300).save_pretrained(tmp_path / "two")
    own, other = identity(tmp_path / "one"), identity(tmp_path / "two")
    assert own != other
    ready.check_tokenizer("web", {"tokenizer_hash": own}, tmp_path / "one")
    with pytest.raises(UserError, match=rf"corpus\.sources\.web\.tokenizer_hash is '{other}'"):
        ready.check_tokenizer("web", {"tokenizer_hash": other}, tmp_path / "one")


@pytest.mark.ray
def test_from_params_to_the_order_of_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ray_session: str
) -> None:
    from stages.corpus import stage as corpus
    from stages.tokenize.stage import STAGE

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REPO_RUNS", str(tmp_path / "runs"))
    train_tokenizer(iter(TEXTS), WORDS).save_pretrained(paths.TOKENIZER)
    write_json(paths.TOKENIZER / "manifest.json", {"eos_id": EOS, "vocab_size": WORDS})
    web, math = [_documents(60, seed) for seed in (1, 2)], _documents(80, 3)
    Path("ids/web").mkdir(parents=True)
    for number, ids in enumerate(web):
        ids.astype("<u4").tofile(f"ids/web/part-{number}.npy")
    with open("ids/math.npy", "wb") as opened:
        np.save(opened, math.astype("<u2"))
    own = identity(paths.TOKENIZER)
    sources = f"{{web: {{kind: tokens, path: ids/web, tokenizer_hash: {own}}}, " + (
        "math: {kind: tokens, path: ids/math.npy}}"
    )
    changes = ["corpus.source=named", f"corpus.sources={sources}", "corpus.generated={}"]
    changes += ["corpus.validation_share=0.1", "tokenizer.source=./data/tokenizer"]
    changes += ["train.lengths=[{length: 256, share: 1.0, sources: [math]}]"]
    text = compose(tmp_path, "smoke", changes)
    Path("params.yaml").write_text(text)
    content = YAML(typ="safe").load(text)
    assert content["corpus"]["needs"] == "ids"
    before = {file: file.read_bytes() for file in Path("ids").rglob("*.npy")}
    assert entry.attempt(corpus.STAGE).line == "done"
    assert entry.attempt(STAGE).line == "done"
    assert before == {file: file.read_bytes() for file in Path("ids").rglob("*.npy")}
    assert not list(paths.TOKENS.rglob("*.npy"))
    store = TokenStore(paths.TOKENS.absolute())
    assert store.sources("train") == store.sources("validation") == ["math", "web"]
    for source, files in (("math", [math]), ("web", web)):
        sums = store.manifest["sources"][source]
        assert sum(sums.values()) == sum(map(len, files))
        train = store.stream("train", [source])
        whole, held = train.read(0, len(train)), store.stream("validation", [source])
        cuts = [s for s in store.manifest["shards"] if s["source"] == source]
        starts = [s["start"] for s in cuts if s["split"] == "validation"]
        pairs = list(zip(files, starts, strict=True))
        assert whole.tolist() == np.concatenate([ids[:cut] for ids, cut in pairs]).tolist()
        rest = np.concatenate([ids[cut:] for ids, cut in pairs])
        assert held.read(0, len(held)).tolist() == rest.tolist()
    given = content["train"].items()
    params = TrainingParams(**{k: v for k, v in given if k in TrainingParams.model_fields})
    batch = DataOrder(store, params, 1).batch(0, 0, 2)
    assert batch.shape == (2, 256) and batch.max() < WORDS
    manifest = (paths.TOKENS / "manifest.json").read_bytes()
    assert entry.attempt(STAGE).line == "done"
    assert (paths.TOKENS / "manifest.json").read_bytes() == manifest
    short = Path("ids/web/part-1.npy")
    short.write_bytes(short.read_bytes()[:-4])
    with pytest.raises(UserError, match=r"ids/web/part-1\.npy: \d+ bytes, not the \d+"):
        TokenStore(paths.TOKENS)
    for stage in (corpus.STAGE, STAGE):
        status = entry.attempt(stage)
        assert (status.code, "part-1.npy" in status.line) == (2, True), status.line
    assert read_json(paths.CORPUS / "manifest.json")["ready"] == ["math", "web"]


@pytest.mark.ray
def test_from_a_published_list_to_the_order_of_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ray_session: str
) -> None:
    """Files in OLMo's layout, fetched; what training reads is what was served, to the token."""
    from stages.corpus import stage as corpus
    from stages.tokenize.stage import STAGE

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REPO_RUNS", str(tmp_path / "runs"))
    train_tokenizer(iter(TEXTS), WORDS).save_pretrained(paths.TOKENIZER)
    write_json(paths.TOKENIZER / "manifest.json", {"eos_id": EOS, "vocab_size": WORDS})
    made = {
        f"pre/{name}/part-{n}.npy": _documents(60, n + ord(name)) for name in "ab" for n in range(2)
    }
    listing = {
        "address": "http://nowhere.invalid",
        "dtype": "uint32",
        "tokenizer_hash": identity(paths.TOKENIZER),
        "sources": {
            name: {"tokens_rounded": 3000, "files": [f for f in made if f"/{name}/" in f]}
            for name in "ab"
        },
    }
    write_json(Path("lists/files.json"), listing)
    sources = (
        "{a: {kind: tokens, files: lists/files.json}, b: {kind: tokens, files: lists/files.json}}"
    )
    changes = ["corpus.source=named", f"corpus.sources={sources}", "corpus.generated={}"]
    changes += ["corpus.validation_share=0.1", "tokenizer.source=./data/tokenizer"]
    phase = "length: 256, share: 1.0, sources: {a: {share: 0.3}, b: {share: 0.7}}"
    changes += [f"train.lengths=[{{{phase}}}]"]
    text = compose(tmp_path, "smoke", changes)
    Path("params.yaml").write_text(text)
    assert YAML(typ="safe").load(text)["corpus"]["needs"] == "lists/files.json"
    with serving() as server:
        server.files = {name: ids.astype("<u4").tobytes() for name, ids in made.items()}
        monkeypatch.setenv("REPO_TOKEN_FILES", server.address)
        for stage in (corpus.STAGE, STAGE):
            assert entry.attempt(stage).line == "done"
    home = tmp_path / "runs/token-files"
    lock = read_json(Path("lists/tokens.lock.json"))["files"]
    assert lock == read_json(home / "tokens.lock.json")["files"]
    assert lock == {
        n: {"bytes": 4 * len(ids), "sha256": sha256(home / n)} for n, ids in made.items()
    }
    manifest = (paths.TOKENS / "manifest.json").read_text()
    assert str(tmp_path) not in manifest and "127.0.0.1" not in manifest
    store = TokenStore(paths.TOKENS, home)
    for name in "ab":
        sums = store.manifest["sources"][name]
        assert sum(sums.values()) == sum(len(ids) for f, ids in made.items() if f"/{name}/" in f)
    params = load(Path("params.yaml")).train
    order, parts = DataOrder(store, params, 1), counted(store.manifest, params, 1)
    read = np.concatenate([order.batch(n, 0, order.rows(n)) for n in range(order.steps)])
    of_a = store.stream("train", ["a"])
    own = of_a.read(0, len(of_a))
    chunks = {own[n * 256 : (n + 1) * 256].tobytes() for n in range(len(own) // 256)}
    assert 256 * sum(row.astype("<u4").tobytes() in chunks for row in read) == parts["a"].tokens
    assert parts["a"].share == pytest.approx(0.3, abs=0.5 / len(read))
    # a folder that holds them is read in place; a file one token short there is exit 2
    (tmp_path / "runs").rename(tmp_path / "before")
    monkeypatch.setenv("REPO_TOKEN_FILES", str(tmp_path / "before/token-files"))
    for stage in (corpus.STAGE, STAGE):
        assert entry.attempt(stage).line == "done"
    assert (paths.TOKENS / "manifest.json").read_text() == manifest
    assert not (tmp_path / "runs/token-files").exists()
    short = tmp_path / "before/token-files/pre/b/part-1.npy"
    short.write_bytes(short.read_bytes()[:-4])
    for stage in (corpus.STAGE, STAGE):
        status = entry.attempt(stage)
        assert status.code == 2 and "part-1.npy" in status.line and "\n" not in status.line
