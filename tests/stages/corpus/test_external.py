"""Documents of the user's own: JSONL and Parquet, plain and compressed, and what can be wrong."""

import gzip
import json
from pathlib import Path
from typing import Any

import datasets
import pytest
import zstandard

from stages.common.errors import UserError
from stages.corpus.external import documents, local_files
from stages.corpus.params import CorpusParams

TEXTS = [f"document {number}" for number in range(7)]


def params(path: Path, **changes: Any) -> CorpusParams:
    base = {"source": "local", "seed": 0, "validation_share": 0.1, "path": str(path)}
    return CorpusParams(**{**base, "needs": str(path), **changes})


def lines(field: str = "text") -> bytes:
    return "".join(json.dumps({field: text, "id": 1}) + "\n" for text in TEXTS).encode()


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.jsonl.zst", "a.parquet"])
def test_formats(name: str, tmp_path: Path) -> None:
    file = tmp_path / name
    if name.endswith(".parquet"):
        datasets.Dataset.from_dict({"text": TEXTS}).to_parquet(file)
    else:
        pack = {".gz": gzip.compress, ".zst": zstandard.compress}.get(file.suffix, bytes)
        file.write_bytes(pack(lines()))
    assert list(documents(params(file))) == TEXTS
    assert list(documents(params(tmp_path), skip=5)) == TEXTS[5:]
    assert list(documents(params(file, max_documents=3), skip=1)) == TEXTS[1:3]


def test_mistakes_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"corpus\.path is .*absent.*no such file or folder"):
        list(documents(params(tmp_path / "absent")))
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="no JSONL or Parquet file there"):
        local_files(tmp_path / "empty")
    file = tmp_path / "a.jsonl"
    file.write_bytes(lines(field="content"))
    with pytest.raises(
        UserError, match=r"text_field is 'text', but document 1 has only \['content'"
    ):
        list(documents(params(file)))
    assert list(documents(params(file, text_field="content"))) == TEXTS


def test_what_dvc_watches_is_the_path_itself(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="needs is 'elsewhere'; with source 'local' it is"):
        params(tmp_path, needs="elsewhere")
