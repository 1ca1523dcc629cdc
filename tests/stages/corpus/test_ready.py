"""Ready token files: described by size and first bytes, a wrong one named, hashes kept."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from stages.common.errors import UserError
from stages.corpus import ready
from stages.corpus.params import CorpusParams, NamedSource

IDS = np.array([5, 6, 0, 7, 8, 9, 0], dtype=np.uint32)


def _npy(file: Path, ids: np.ndarray) -> None:  # type: ignore[type-arg]
    with open(file, "wb") as opened:
        np.save(opened, ids)


GOOD: dict[str, tuple[Callable[[Path], None], str | None, str]] = {
    "flat uint32 named .npy": (lambda file: IDS.tofile(file), None, "<u4"),
    "flat uint16": (lambda file: IDS.astype("<u2").tofile(file), "uint16", "<u2"),
    ".npy of uint32": (lambda file: _npy(file, IDS), None, "<u4"),
    ".npy of uint16": (lambda file: _npy(file, IDS.astype("<u2")), "uint16", "<u2"),
    ".npy of big-endian int64": (lambda file: _npy(file, IDS.astype(">i8")), None, ">i8"),
}


@pytest.mark.parametrize("name", GOOD)
def test_ids_are_found(name: str, tmp_path: Path) -> None:
    write, dtype, kind = GOOD[name]
    write(tmp_path / "a.npy")
    source = NamedSource(kind="tokens", path="a.npy", dtype=dtype)
    (found,) = ready.described("corpus.sources.a", source, tmp_path)
    assert (found.file, found.dtype, found.tokens) == ("a.npy", kind, len(IDS))
    assert ready.ids(tmp_path / "a.npy", found).tolist() == IDS.tolist()


def _cut(file: Path, last: int) -> None:
    file.write_bytes(file.read_bytes()[:-last])


def _short_npy(file: Path) -> None:
    _npy(file, IDS)
    _cut(file, 4)


def _short_flat(file: Path) -> None:
    IDS.tofile(file)
    _cut(file, 1)


BAD: dict[str, tuple[Callable[[Path], None], str | None, str]] = {
    "one token short": (_short_npy, None, r"b\.npy: its header says 7 ids, 6 are there"),
    "a byte short": (_short_flat, None, r"b\.npy: 27 bytes are no whole number of uint32"),
    "empty": (lambda file: file.touch(), None, r"b\.npy: empty"),
    "a table": (lambda file: _npy(file, IDS[:6].reshape(2, 3)), None, r"b\.npy: .*shape \(2, 3\)"),
    "floats": (lambda file: _npy(file, IDS.astype("f4")), None, r"b\.npy: .*float32"),
    "another dtype": (lambda file: _npy(file, IDS), "uint16", r"b\.npy: dtype is 'uint16'"),
    "a header cut": (lambda file: file.write_bytes(b"\x93NUMPY\x01"), None, r"b\.npy: .*header"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_wrong_file_is_named(name: str, tmp_path: Path) -> None:
    write, dtype, told = BAD[name]
    folder = tmp_path / "ids"
    folder.mkdir()
    IDS.astype(dtype or "<u4").tofile(folder / "a.npy")
    write(folder / "b.npy")
    source = NamedSource(kind="tokens", path="ids", dtype=dtype)
    with pytest.raises(UserError, match=told):
        list(ready.described("corpus.sources.a", source, tmp_path))


def test_hashes_are_kept_until_a_file_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("ids").mkdir()
    for name in ("a.npy", "b.npy", ".hidden.npy", "a.csv.gz"):
        IDS.tofile(Path("ids") / name)
    sources = {"web": {"kind": "tokens", "path": "ids"}}
    params = _params(sources, "ids")
    first = ready.plans(params, tmp_path)["web"]
    assert [file["file"] for file in first["files"]] == ["ids/a.npy", "ids/b.npy"]
    monkeypatch.setattr(ready, "sha256", lambda file: f"read again: {file}")
    assert ready.plans(params, tmp_path)["web"] == first
    (IDS + 1).tofile("ids/b.npy")
    again = ready.plans(params, tmp_path)["web"]["files"]
    assert again[0] == first["files"][0]
    assert again[1]["sha256"] == "read again: ids/b.npy"


def _params(sources: dict[str, dict[str, object]], needs: str, **more: object) -> CorpusParams:
    content = {"source": "named", "needs": needs, "seed": 1, "validation_share": 0.1}
    return CorpusParams.model_validate({**content, "sources": sources, **more})


TOKENS: dict[str, object] = {"kind": "tokens", "path": "data/a"}
WRONG: dict[str, tuple[dict[str, dict[str, object]], str, str]] = {
    "nothing": ({}, "data/a", "needs the key 'sources'"),
    "not watched": ({"a": TOKENS}, "data/b", "it is 'data/a'"),
    "one of two watched": ({"a": TOKENS, "b": {**TOKENS, "path": "data/b"}}, "data/a", "is 'data'"),
    "apart": ({"a": TOKENS, "b": {**TOKENS, "path": "/mnt/b"}}, "data/a", "share no folder"),
    "no path": ({"a": {"kind": "tokens"}}, "data/a", "needs the key 'path'"),
    "dtype of texts": ({"a": {**TOKENS, "kind": "local", "dtype": "uint16"}}, "data/a", "dtype is"),
    "a name that is taken": ({"short": TOKENS}, "data/a", "another source has that name"),
    "a name that is no file's": ({"a/b": TOKENS}, "data/a", "pattern"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_sources_are_refused(name: str) -> None:
    sources, needs, told = WRONG[name]
    part = {"kinds": {"facts": 1.0}, "words": [10, 50], "bytes": 1000}
    with pytest.raises(ValidationError, match=told):
        _params(sources, needs, generated={"short": part})


def test_sources_of_all_kinds_have_names() -> None:
    sources = {"a": TOKENS, "b": {"kind": "local", "path": "data/b"}}
    params = _params(sources, "data")
    assert params.names == ("a", "b")
    assert list(params.ready) == ["a"]
