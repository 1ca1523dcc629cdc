"""The corpus: shards by split and source, equal bytes for equal params, resumable."""

from pathlib import Path

import pytest

from pipeline.use import profiles
from stages.common import entry, paths
from stages.common.files import read_json, read_jsonl, sha256
from stages.corpus import stage as corpus
from stages.corpus.python_text import documents


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


def test_python_text_is_bounded_deterministic_and_real() -> None:
    texts = list(documents(max_bytes=900_000, seed=1))
    assert sum(len(text.encode()) for text in texts) <= 900_000
    assert texts == list(documents(max_bytes=900_000, seed=1))
    assert any('The "if" statement' in text for text in texts)  # the language reference
    assert any(text.lstrip().startswith(("import", '"""', "#")) for text in texts)  # a source
