"""The corpus: shards by split and source, equal bytes for equal params, resumable."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from pipeline.use import profiles
from stages.common import entry, paths
from stages.common.files import read_json, read_jsonl, sha256
from stages.corpus import external
from stages.corpus import stage as corpus
from stages.corpus.params import CorpusParams
from stages.corpus.plan import of_split
from stages.corpus.python_text import documents
from stages.corpus.splits import SPLITS


@pytest.fixture(autouse=True)
def _in_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "params.yaml").write_text(profiles()["smoke"])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REPO_RUNS", str(tmp_path / "runs"))


def test_splits_sources_and_hashes() -> None:
    assert entry.attempt(corpus.STAGE).code == 0
    manifest = read_json(paths.CORPUS / "manifest.json")
    files = {
        f"{split}/{source}-00000.jsonl"
        for split in corpus.SPLITS
        for source in ("python", "short", "medium", "long")
    }
    assert set(manifest["hashes"]) == files
    for name, expected in manifest["hashes"].items():
        assert sha256(paths.CORPUS / name) == expected
    train = {row["text"] for row in read_jsonl(paths.CORPUS / "train/python-00000.jsonl")}
    held_out = {row["text"] for row in read_jsonl(paths.CORPUS / "validation/python-00000.jsonl")}
    assert train
    assert held_out
    assert not train & held_out


def test_equal_params_are_equal_bytes_with_and_without_a_kill(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert entry.attempt(corpus.STAGE).code == 0
    first = read_json(paths.CORPUS / "manifest.json")
    monkeypatch.setenv("REPO_RUNS", str(tmp_path / "other"))
    collect = corpus.collect
    seen = []

    def dies(params: object, source: str, folder: Path) -> None:
        if len(seen) == 2:
            raise KeyboardInterrupt
        seen.append(source)
        collect(params, source, folder)  # type: ignore[arg-type]

    monkeypatch.setattr(corpus, "collect", dies)
    assert entry.attempt(corpus.STAGE).code == 75
    monkeypatch.setattr(corpus, "collect", collect)
    assert read_json(paths.CORPUS / "manifest.json") == first  # the earlier out is still there
    assert entry.attempt(corpus.STAGE).code == 0
    assert read_json(paths.CORPUS / "manifest.json") == first


def local(folder: Path, **changes: Any) -> CorpusParams:
    base = {"source": "local", "seed": 1, "validation_share": 0.2, "path": str(folder)}
    return CorpusParams(**{**base, "needs": str(folder), **changes})


def set_local(folder: Path, **changes: Any) -> None:
    """The project's params with documents of one's own."""
    yaml = YAML(typ="safe", pure=True)
    content = yaml.load(Path("params.yaml"))
    content["corpus"] = local(folder, **changes).model_dump(mode="json", exclude_none=True)
    with open("params.yaml", "w") as file:
        yaml.dump(content, file)


def documents_of(corpus: Path) -> list[str]:
    return [text for split in SPLITS for text in of_split(corpus, split)]


def test_rows_without_a_text_stop_the_stage_or_are_counted(tmp_path: Path) -> None:
    data = tmp_path / "my data [v2]"
    texts = [None if n == 7 else f"document {n} of some words{' and more' * 9}" for n in range(50)]
    lines = [json.dumps({"text": text}) for text in texts]
    write(data / "a.jsonl", lines)
    set_local(data)
    status = entry.attempt(corpus.STAGE)
    assert status.code == 2
    assert re.search(r"a\.jsonl line 8: 'text' is null; correct the row", status.line)
    set_local(data, on_bad_row="skip")
    assert entry.attempt(corpus.STAGE).code == 0
    (shard,) = read_json(paths.CORPUS / "manifest.json")["shards"]
    assert (shard["skipped"], shard["first_skipped"]) == (1, "a.jsonl line 8: 'text' is null")
    assert shard["train"] + shard["validation"] == 49
    set_local(data, on_bad_row="skip", text_field="body")
    status = entry.attempt(corpus.STAGE)
    assert (status.code, "a.jsonl line 1: no 'body' in it" in status.line) == (2, True)


def test_other_files_are_another_corpus(tmp_path: Path) -> None:
    data = tmp_path / "mine"
    more = " and more" * 9  # enough that what is held out fills a window
    write(data / "a.jsonl", [json.dumps({"text": f"old {n}{more}"}) for n in range(50)])
    set_local(data)
    assert entry.attempt(corpus.STAGE).code == 0
    write(data / "a.jsonl", [json.dumps({"text": f"new {n}{more}"}) for n in range(60)])
    assert entry.attempt(corpus.STAGE).code == 0
    assert sorted(documents_of(paths.CORPUS)) == sorted(f"new {n}{more}" for n in range(60))


def test_a_source_goes_on_from_its_cursor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpus, "SHARD_BYTES", 300)
    data = tmp_path / "mine"
    for name in "abc":
        write(data / f"{name}.jsonl", [json.dumps({"text": f"{name} {n} ..."}) for n in range(40)])
    whole, again = tmp_path / "whole", tmp_path / "again"
    corpus.collect(local(data), "local", whole)
    shards = sorted(whole.glob("*.done.json"))
    assert len(shards) > 5
    assert sum(read_json(shard)["seen"] for shard in shards[-1:]) == 120
    shutil.copytree(whole, again)
    for lost in sorted(again.glob("*.done.json"))[3:]:
        lost.unlink()
    read = []
    rows = external.rows
    monkeypatch.setattr(
        external, "rows", lambda path, *rest: read.append(path.name) or rows(path, *rest)
    )
    corpus.collect(local(data), "local", again)
    assert read[0] != "a.jsonl"
    for file in sorted(whole.rglob("*.json*")):
        assert file.read_bytes() == (again / file.relative_to(whole)).read_bytes()


def test_the_stages_own_out_is_no_source(tmp_path: Path) -> None:
    write(tmp_path / "data" / "a.jsonl", ['{"text": "a"}'] * 300)
    set_local(tmp_path / "data")
    status = entry.attempt(corpus.STAGE)
    assert (status.code, "which holds data/corpus" in status.line) == (2, True)


def write(file: Path, lines: list[str]) -> None:
    file.parent.mkdir(exist_ok=True)
    file.write_text("\n".join(lines) + "\n")


def test_python_text_is_bounded_deterministic_and_real() -> None:
    texts = list(documents(max_bytes=900_000, seed=1))
    assert sum(len(text.encode()) for text in texts) <= 900_000
    assert texts == list(documents(max_bytes=900_000, seed=1))
    assert any('The "if" statement' in text for text in texts)  # the language reference
    assert any(text.lstrip().startswith(("import", '"""', "#")) for text in texts)  # a source
