"""Documents that stay in the user's files: parts of a plan, read again where they are."""

import bz2
import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from ruamel.yaml import YAML
from tokenizers import Tokenizer

from pipeline.use import profiles
from stages.common import entry, paths
from stages.common.errors import UserError
from stages.common.files import read_json, write_jsonl
from stages.corpus import plan
from stages.corpus import stage as corpus
from stages.corpus.external import documents
from stages.corpus.params import CorpusParams
from stages.corpus.splits import SPLITS, splits
from stages.tokenize.encode import encode_file, encode_parts
from stages.tokenizer import stage as tokenizer_stage
from tests.stages.bytes_tokenizer import save_tokenizer

WORDS = ["".join(chr(97 + int(digit)) for digit in str(n * 7919)) for n in range(400)]
TEXTS = [
    "  " if n % 11 == 0 else f"{n} Wörter {word} {' and' * (n % 90)}"
    for n, word in enumerate(WORDS)
]


def rows(texts: list[str] = TEXTS, ending: str = "\n") -> bytes:
    """JSONL with a row that has no text, and blank lines."""
    odd = ['{"text": null}', ""]
    lines = [line for n, t in enumerate(texts) for line in (json.dumps({"text": t}), *odd[: n % 3])]
    return ending.join(lines).encode()


def lines(folder: Path, name: str = "a.jsonl", pack: Callable[[bytes], bytes] = bytes) -> None:
    (folder / name).write_bytes(pack(rows()))


def several(folder: Path, name: str, pack: Callable[[bytes], bytes] = bytes) -> None:
    for number in range(5):
        (folder / name.format(number)).write_bytes(
            pack(rows(TEXTS[number * 80 : number * 80 + 80]))
        )


def texts(folder: Path) -> None:
    for number, text in enumerate(TEXTS):
        (folder / f"{number:04}.txt").write_text(text)


def parquet(folder: Path) -> None:
    pq.write_table(pa.table({"text": TEXTS[:300]}), folder / "a.parquet", row_group_size=37)
    pq.write_table(pa.table({"text": TEXTS[300:]}), folder / "b.parquet")


SHAPES: dict[str, Callable[[Path], None]] = {
    "lines": lines,
    "a mark at the start": lambda f: lines(f, pack=lambda c: b"\xef\xbb\xbf" + c),
    "CRLF": lambda f: lines(f, pack=lambda c: c.replace(b"\n", b"\r\n")),
    "several files": lambda f: several(f, "{}.jsonl"),
    "gzip": lambda f: lines(f, "a.jsonl.gz", gzip.compress),
    "several of zstd": lambda f: several(f, "{}.jsonl.zst", zstandard.compress),
    "bzip2": lambda f: lines(f, "a.jsonl.bz2", bz2.compress),
    "an array": lambda f: (f / "a.json").write_text(json.dumps([{"text": t} for t in TEXTS])) and None,
    "texts": texts,
    "Parquet": parquet,
}  # fmt: skip


@pytest.fixture(autouse=True)
def _in_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REPO_RUNS", str(tmp_path / "runs"))
    monkeypatch.setattr(corpus, "SHARD_BYTES", 3000)


def made(shape: str, **more: Any) -> CorpusParams:
    """The corpus of documents in a folder, made by the stage."""
    folder = Path("mine")
    folder.mkdir(exist_ok=True)
    SHAPES[shape](folder)
    return corpus_of(**more)


def corpus_of(**more: Any) -> CorpusParams:
    base = {"source": "local", "seed": 1, "validation_share": 0.2, "path": "mine", "needs": "mine"}
    params = CorpusParams(**{**base, "on_bad_row": "skip", **more})
    yaml = YAML(typ="safe", pure=True)
    content = yaml.load(profiles()["smoke"])
    content["corpus"] = params.model_dump(mode="json", exclude_none=True)
    for section in (content["train"], content["base"]["training"]):
        for phase in section["lengths"]:
            phase.pop("sources", None)
    with open("params.yaml", "w") as file:
        yaml.dump(content, file)
    status = entry.attempt(corpus.STAGE)
    assert status.code == 0, status.line
    return params


def part(one: dict[str, Any], number: int, split: str = "train") -> list[str]:
    return [text for _, found in plan.texts(Path.cwd(), one, [number], split) for text in found]


def tokenizer_in(folder: Path) -> Path:
    (folder / "tokenizer").mkdir()
    save_tokenizer(folder / "tokenizer")
    return folder / "tokenizer"


def expected(params: CorpusParams, split: str) -> list[str]:
    found = [row.text for row in documents(params) if row.text is not None]
    drawn = splits(params.seed, params.validation_share, "local", 0)
    pairs = zip(found, drawn, strict=False)
    return [text for text, one in pairs if one == split and text.strip()]


SOME = {"max_documents": 123}


@pytest.mark.parametrize(
    ("shape", "limit"),
    [*((shape, {}) for shape in SHAPES), ("lines", SOME), ("gzip", SOME), ("Parquet", SOME)],
)
def test_the_parts_are_the_documents(shape: str, limit: dict[str, int]) -> None:
    params = made(shape, **limit)
    one = plan.plans(paths.CORPUS)["local"]
    assert len(one["parts"]) > 3
    most = limit.get("max_documents", 400)
    whole = [text for split in SPLITS for text in plan.of_split(paths.CORPUS, split)]
    assert sorted(whole) == sorted(text for text in TEXTS[:most] if text.strip())
    for split in SPLITS:
        if not limit:
            assert list(plan.of_split(paths.CORPUS, split)) == expected(params, split)
        by_group = [
            text
            for group in plan.groups(one)
            for _, found in plan.texts(Path.cwd(), one, group, split)
            for text in found
        ]
        assert by_group == list(plan.of_split(paths.CORPUS, split))
    assert not list(paths.CORPUS.rglob("*.jsonl"))  # the documents stand in the user's files alone
    size = sum(file.stat().st_size for file in paths.CORPUS.rglob("*") if file.is_file())
    assert size < 600 * len(one["parts"]) + 200 * len(one["files"]) + 3000


def test_a_reader_takes_what_lies_in_one_file_without_places() -> None:
    def groups(shape: str) -> list[int]:
        made(shape)
        found = [len(group) for group in plan.groups(plan.plans(paths.CORPUS)["local"])]
        for file in Path("mine").iterdir():
            file.unlink()
        return found

    assert set(groups("lines")) == set(groups("Parquet")) == set(groups("texts")) == {1}
    assert groups("gzip") == groups("an array") == [8, 8, 8]  # no task has it all to itself
    assert 3 <= len(groups("several of zstd")) <= 6  # about one a file


def test_a_part_is_found_without_reading_what_is_before_it() -> None:
    made("lines")
    one = plan.plans(paths.CORPUS)["local"]
    file, last = Path("mine/a.jsonl"), len(one["parts"]) - 2
    place = one["parts"][last]["begin"][2][0]
    content = file.read_bytes()
    file.write_bytes(b"x" * (place - 1) + content[place - 1 :])
    assert part(one, last)
    with pytest.raises(UserError, match="are not those that the stage corpus read"):
        part(one, 0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda file: file.write_bytes(file.read_bytes().replace(b"7 W", b"8 W")),
         "corpus.path is 'mine': the documents are not those that the stage corpus read; read them "
         "anew with `repo-pipeline run corpus --force`"),
        (lambda file: file.write_bytes(file.read_bytes()[:2000]), "are not those that the stage"),
        (lambda file: file.unlink(), "a.jsonl: no such file any more, or not here; put it back"),
    ],
    ids=["another", "cut", "gone"],
)  # fmt: skip
def test_other_documents_are_an_error(
    change: Callable[[Path], None], message: str, tmp_path: Path
) -> None:
    made("lines")
    tokenizer = tokenizer_in(tmp_path)
    change(Path("mine/a.jsonl"))
    where = paths.CORPUS / plan.FOLDER / "local.json"
    targets = {0: tmp_path / "out" / "local-00000"}
    targets[0].parent.mkdir()
    with pytest.raises(UserError) as error:
        encode_parts(Path.cwd(), where, "train", tokenizer, 0, 1000, targets)
    assert message in str(error.value) and "\n" not in str(error.value)
    assert not list(tmp_path.glob("out/*.done.json"))


@pytest.mark.parametrize("shape", ["lines", "gzip"])
def test_they_become_the_tokens_of_a_written_corpus(shape: str, tmp_path: Path) -> None:
    """And what was encoded before a kill is not encoded again."""
    made(shape)
    tokenizer, where = tokenizer_in(tmp_path), paths.CORPUS / plan.FOLDER / "local.json"
    one = read_json(where)
    for folder in ("out", "written"):
        (tmp_path / folder).mkdir()
    for group in plan.groups(one):
        targets = {number: tmp_path / "out" / f"local-{number:05d}" for number in group}
        found = encode_parts(Path.cwd(), where, "train", tokenizer, 0, 1000, targets)
        for number, entries in zip(group, found, strict=True):
            text = tmp_path / f"local-{number:05d}.jsonl"
            write_jsonl(text, ({"text": document} for document in part(one, number)))
            same = encode_file(text, tokenizer, 0, 1000, tmp_path / "written" / text.stem)
            assert entries == same
    kinds = ("*.npy", "*.ends")
    out = {f.name: f.read_bytes() for kind in kinds for f in (tmp_path / "out").glob(kind)}
    assert len(out) > 6
    assert out == {
        f.name: f.read_bytes() for kind in kinds for f in (tmp_path / "written").glob(kind)
    }
    group = plan.groups(one)[-1]
    targets = {number: tmp_path / "out" / f"local-{number:05d}" for number in group}
    last = targets[group[-1]].name
    lost = tmp_path / "out" / f"{last}.done.json"
    lost.unlink()
    others = [f for f in (tmp_path / "out").iterdir() if not f.name.startswith(last)]
    known = {file: file.stat().st_mtime_ns for file in others}
    encode_parts(Path.cwd(), where, "train", tokenizer, 0, 1000, targets)
    assert lost.is_file()
    assert known == {file: file.stat().st_mtime_ns for file in known}


def test_a_tokenizer_is_trained_on_them() -> None:
    params = made("several of zstd")
    yaml = YAML(typ="safe", pure=True)
    content = yaml.load(Path("params.yaml"))
    content["tokenizer"] = {"source": "train", "vocab_size": 300}
    with open("params.yaml", "w") as file:
        yaml.dump(content, file)
    status = entry.attempt(tokenizer_stage.STAGE)
    assert status.code == 0, status.line
    found = Tokenizer.from_file(str(paths.TOKENIZER / "tokenizer.json"))
    same = tokenizer_stage.train(iter(expected(params, "train")), 300)
    assert found.get_vocab() == same.get_vocab()
