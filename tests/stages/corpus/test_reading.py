"""Reading of the user's files: what is a document, what is left out, what is wrong and where."""

import bz2
import gzip
import io
import json
import os
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from stages.common.errors import UserError, one_line
from stages.corpus import external
from stages.corpus.external import Cursor, documents
from stages.corpus.params import CorpusParams

TEXTS = ["one", "zwei  ", "三\u2028\x00", "2024-01-01", "null"]


def params(path: Path, **changes: Any) -> CorpusParams:
    base = {"source": "local", "seed": 0, "validation_share": 0.1, "path": str(path)}
    return CorpusParams(**{**base, "needs": str(path), **changes})


def read(path: Path, **changes: Any) -> list[str]:
    return [row.text for row in documents(params(path, **changes)) if row.text is not None]


def lines(texts: list[Any] = TEXTS, ending: str = "\n", **more: Any) -> bytes:
    return "".join(json.dumps({"text": t, **more}) + ending for t in texts).encode()


def frames(content: bytes) -> bytes:
    cut = len(content) // 2
    skippable = b"\x50\x2a\x4d\x18\x03\x00\x00\x00abc"
    return skippable + zstandard.compress(content[:cut]) + zstandard.compress(content[cut:])


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".gz": gzip.compress,
    ".GZ": lambda content: gzip.compress(content[:9]) + gzip.compress(content[9:]),
    ".zst": zstandard.compress,
    ".zstd": frames,
    ".bz2": lambda content: bz2.compress(content[:9]) + bz2.compress(content[9:]),
}


@pytest.mark.parametrize("packed", PACKERS)
@pytest.mark.parametrize("name", ["a.jsonl", "a.JSONL", "a.ndjson", "a.json", "[v2] {x}.jl"])
def test_every_spelling_of_lines(name: str, packed: str, tmp_path: Path) -> None:
    (tmp_path / f"{name}{packed}").write_bytes(PACKERS[packed](lines(id=1)))
    assert read(tmp_path) == TEXTS
    assert read(tmp_path / f"{name}{packed}") == TEXTS


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbf" + lines(),
        lines(ending="\r\n"),
        lines(ending="\n\n  \n"),
        lines().rstrip(),
        json.dumps([{"text": t} for t in TEXTS]).encode(),
        json.dumps([{"text": t} for t in TEXTS], indent=1).encode(),
        b"\xef\xbb\xbf\n" + json.dumps([{"text": t} for t in TEXTS], indent=1).encode(),
        lines(score=float("nan")),
        lines(other="\ud800"),
        lines(big=int("9" * 300)),
        lines().replace(b'{"text"', b'{"latin": "\xe9", "text"'),
        b"".join(lines([t], **{f"k{n}": n, "date": d}) for n, (t, d) in enumerate(
            zip(TEXTS, ["2024-01-01", 3, None, {"a": 1}, [1]], strict=True))),
    ],
    ids=["bom", "crlf", "blank", "no-end", "array", "indented", "bom-array", "nan", "surrogate",
         "big", "latin-1", "late-keys"],
)  # fmt: skip
def test_what_stands_beside_the_text_does_not_matter(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(content)
    assert read(tmp_path) == TEXTS


def test_rows_that_are_lists_are_no_array(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b'["a"]\n["b"]\n' + lines())
    rows = list(documents(params(tmp_path, on_bad_row="skip")))
    assert [row.text for row in rows] == [None, None, *TEXTS]


def columns() -> dict[str, pa.Array]:
    text = pa.array(TEXTS)
    return {
        "string": text,
        "large": text.cast(pa.large_string()),
        "view": text.cast(pa.string_view()),
        "dictionary": text.dictionary_encode(),
        "binary": text.cast(pa.binary()),
    }


@pytest.mark.parametrize("kind", columns())
def test_parquet_columns(kind: str, tmp_path: Path) -> None:
    array = columns()[kind]
    pq.write_table(pa.table({"id": range(5), "text": array}), tmp_path / "a.parquet")
    ids = pa.array(list("abcde"))
    pq.write_table(pa.table({"text": array, "id": ids}), tmp_path / "b.pq", row_group_size=2)
    assert read(tmp_path) == TEXTS * 2
    for skip in range(6):
        rest = documents(params(tmp_path / "b.pq"), cursor=Cursor(0, skip))
        assert [row.text for row in rest] == TEXTS[skip:]


def test_a_nested_text(tmp_path: Path) -> None:
    rows = [{"doc": {"text": text, "n": 1}} for text in TEXTS]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    assert read(tmp_path, text_field="doc.text") == TEXTS
    (tmp_path / "a.parquet").unlink()
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert read(tmp_path, text_field="doc.text") == TEXTS


def test_a_text_file_is_one_document(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfone\r\ntwo\n")
    (tmp_path / "b.txt.gz").write_bytes(gzip.compress("BZh ü".encode()))
    (tmp_path / "README.txt").write_text("what this is")
    assert read(tmp_path) == ["one\r\ntwo\n", "BZh ü"]


def test_a_cursor_goes_on_where_reading_stopped(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(lines())
    (tmp_path / "b.jsonl.zst").write_bytes(frames(lines()))
    whole = list(documents(params(tmp_path)))
    assert [row.cursor.offset is None for row in whole] == [False] * 5 + [
        True
    ] * 5  # packed: no place
    for number, row in enumerate(whole, start=1):
        assert list(documents(params(tmp_path), row.cursor)) == whole[number:]
        counted = row.cursor._replace(offset=None)
        assert list(documents(params(tmp_path), counted)) == whole[number:]


def test_what_a_folder_holds_besides(tmp_path: Path) -> None:
    """A hub's snapshot through links, an editor's copies, a second name, a loop."""
    data = tmp_path / "data"
    (data / "blobs").mkdir(parents=True)
    pq.write_table(pa.table({"text": TEXTS}), data / "blobs" / "1f3c")
    snapshot = data / "snapshots" / "rev"
    snapshot.mkdir(parents=True)
    (snapshot / "train-0.parquet").symlink_to(data / "blobs" / "1f3c")
    (snapshot / "again.parquet").symlink_to(snapshot / "train-0.parquet")
    (snapshot / "loop").symlink_to(data)
    for name in ("dataset_infos.json", "info.json", "README.md", "LICENSE.txt", "words.txt"):
        (snapshot / name).write_text('{"default": {"features": {}}}')
    for name in (".a.jsonl.swp", "a.jsonl~", "_SUCCESS", "._a.jsonl", "#a.jsonl", "b.jsonl.part"):
        (snapshot / name).write_bytes(b"no data")
    for name in ("lost+found", "$RECYCLE.BIN"):
        (snapshot / name).mkdir(mode=0o000)
    (snapshot / ".ipynb_checkpoints").mkdir()
    (snapshot / ".ipynb_checkpoints" / "x.jsonl").write_bytes(lines())
    assert read(data) == TEXTS
    (data / "snapshots" / "newer").mkdir()
    with pytest.raises(UserError, match="a hub's cache with 2 revisions; name the folder of one"):
        read(data)


GOOD = b'{"text": "good"}\n'
ODD: dict[str, tuple[bytes, str]] = {
    "null": (b'{"text": null}', "line 2: 'text' is null"),
    "missing": (b'{"txt": "a"}', r"line 2: no 'text' in it, only \['txt'\]"),
    "number": (b'{"text": 3}', "line 2: 'text' is a int"),
    "surrogate": (rb'{"text": "\ud800"}', "line 2: 'text' is not UTF-8"),
    "latin-1": (b'{"text": "caf\xe9"}', "line 2: 'text' is not UTF-8"),
    "broken": (b'{"text": "a', "line 2: not JSON"),
    "list": (b'["a"]', "line 2: not a JSON object"),
    "deep": (b'{"text": "a", "b": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "line 2: not JSON"),
}


@pytest.mark.parametrize("name", ODD)
def test_an_odd_line(name: str, tmp_path: Path) -> None:
    line, message = ODD[name]
    (tmp_path / "a.jsonl").write_bytes(GOOD + line + b"\n" + GOOD)
    with pytest.raises(UserError, match=rf"a\.jsonl {message}.*on_bad_row: skip"):
        read(tmp_path)
    rows = list(documents(params(tmp_path, on_bad_row="skip")))
    assert [row.text for row in rows] == ["good", None, "good"]
    assert rows[1].problem.startswith("a.jsonl line 2: ")


def test_an_odd_cell(tmp_path: Path) -> None:
    cells = pa.array([b"good", None, b"caf\xe9"], pa.binary())
    for array in (cells, pa.StringArray.from_buffers(3, *cells.buffers()[1:], cells.buffers()[0])):
        pq.write_table(pa.table({"text": array}), tmp_path / "a.parquet")
        with pytest.raises(UserError, match=r"a\.parquet row 2: 'text' is null"):
            read(tmp_path)
        rows = list(documents(params(tmp_path, on_bad_row="skip")))
        assert [row.problem for row in rows] == [
            "", "a.parquet row 2: 'text' is null", "a.parquet row 3: 'text' is not UTF-8"
        ]  # fmt: skip


@pytest.mark.parametrize("packed", [".gz", ".zst", ".bz2"])
def test_an_archive_cut_short(packed: str, tmp_path: Path) -> None:
    draw = random.Random(0)
    content = lines([str(draw.random()) for _ in range(20_000)])
    whole = PACKERS[packed](content)
    file = tmp_path / f"a.jsonl{packed}"
    for size in (0, 5, len(whole) // 3, len(whole) - 1):
        file.write_bytes(whole[:size])
        with pytest.raises(UserError, match=r"a\.jsonl\.\w+: "):
            read(file, on_bad_row="skip")


def test_a_zstd_archive_cut_between_two_blocks(tmp_path: Path) -> None:
    packer = zstandard.ZstdCompressor().compressobj()
    block = packer.compress(lines()) + packer.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)
    (tmp_path / "a.jsonl.zst").write_bytes(block)
    with pytest.raises(UserError, match="damaged or cut short"):
        read(tmp_path)


def _long_window() -> bytes:
    rules = zstandard.ZstdCompressionParameters.from_level(3, window_log=30)
    packed = io.BytesIO()
    with zstandard.ZstdCompressor(compression_params=rules).stream_writer(
        packed, closefd=False
    ) as f:
        f.write(b'{"text": "a"}\n')
    return packed.getvalue()


LONG_WINDOW = _long_window()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.parquet", b"PAR1 and no more", "not a whole Parquet file"),
        ("a.parquet", b"version https://git-lfs.github.com/spec/v1\noid", "Git LFS"),
        ("a.jsonl", b"version https://git-lfs.github.com/spec/v1\noid", "Git LFS"),
        ("a.jsonl", '{"text": "a"}'.encode("utf-16"), "UTF-16"),
        ("a.json", b'[{"text": "a"}, ', "not a JSON array"),
        ("a.csv", b"text\na", r"no file of documents there; \.jsonl .* are read"),
        ("a.parquet.gz", b"", "no file of documents there"),
        ("a.txt", "hello there".encode("utf-16-le"), "full of zero bytes: UTF-16"),
        ("a.jsonl.zst", LONG_WINDOW, "a window of over 128 MB"),
    ],
)
def test_a_file_that_is_no_data(name: str, content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=message):
        read(tmp_path)


@pytest.mark.parametrize("name", ["b.jsonl.xz", "b.txt.lz4", "b.parquet.gz", "b.JSON.ZIP"])
def test_documents_that_cannot_be_read_are_not_left_out_unsaid(name: str, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(lines())
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(UserError, match=rf"{name} is packed in a way that is not read"):
        read(tmp_path)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(lines())
    os.mkfifo(tmp_path / "b.jsonl")
    assert read(tmp_path) == TEXTS


@pytest.mark.parametrize("mode", [0o000, 0o400])
def test_a_folder_that_cannot_be_read_is_not_left_out_unsaid(mode: int, tmp_path: Path) -> None:
    """Root reads all, so the reading is done by another user."""
    (tmp_path / "a.jsonl").write_bytes(lines())
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "b.jsonl").write_bytes(lines())
    (tmp_path / "more").chmod(mode)
    try:
        with (
            as_nobody(tmp_path),
            pytest.raises(UserError, match=r"more.*: Permission denied; make"),
        ):
            read(tmp_path)
    finally:
        (tmp_path / "more").chmod(0o700)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(lines())
    (tmp_path / "a.jsonl").chmod(0)
    with (
        as_nobody(tmp_path),
        pytest.raises(UserError, match=r"a\.jsonl: Permission denied; make it readable"),
    ):
        read(tmp_path)


@contextmanager
def as_nobody(folder: Path) -> Iterator[None]:
    """Another user than root, who owns the folder and can reach it."""
    if os.geteuid() != 0:
        yield
        return
    # Others, and the group: root's own is kept.
    opened = [path for path in folder.parents if path.stat().st_mode & 0o011 != 0o011]
    modes = [path.stat().st_mode for path in opened]
    for path in (folder, *folder.rglob("*")):
        os.chown(path, 65534, 65534)
    for path, mode in zip(opened, modes, strict=True):
        path.chmod(mode | 0o011)
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)
        for path, mode in zip(opened, modes, strict=True):
            path.chmod(mode)


@pytest.mark.parametrize("name", [b"two\nlines.jsonl", b"caf\xe9.jsonl", b"esc\x1b[1m.jsonl"])
def test_names_of_any_bytes(name: bytes, tmp_path: Path) -> None:
    file = tmp_path / os.fsdecode(name)
    file.write_bytes(GOOD + b'{"text": 1}\n')
    assert external.listing(params(tmp_path))
    rows = list(documents(params(tmp_path, on_bad_row="skip")))
    assert rows[0].text == "good"
    assert rows[1].problem.isprintable() and rows[1].problem.encode()
    with pytest.raises(UserError) as error:
        read(tmp_path)
    assert one_line(str(error.value)).isprintable()


@pytest.mark.parametrize("behind", [b"\x00" * 512, b"\x00", b"trailing garbage"])
def test_what_stands_behind_a_gzip_member(behind: bytes, tmp_path: Path) -> None:
    """Padding of tapes and garbage: one line, never fewer documents unsaid."""
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(lines()) + behind)
    with pytest.raises(UserError, match=r"a\.jsonl\.gz: damaged or cut short"):
        read(tmp_path)


def test_two_columns_of_one_name(tmp_path: Path) -> None:
    table = pa.Table.from_arrays([pa.array(["a"]), pa.array(["b"])], names=["text", "text"])
    pq.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(UserError, match="several columns are called 'text'"):
        read(tmp_path)


def test_mistakes_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"corpus\.path is .*absent.*no such file or folder"):
        read(tmp_path / "absent")
    (tmp_path / "a.jsonl").symlink_to(tmp_path / "gone")
    with pytest.raises(UserError, match=r"a\.jsonl: a link to a file that is not there"):
        read(tmp_path)
    (tmp_path / "a.jsonl").unlink()
    pq.write_table(pa.table({"body": TEXTS, "n": range(5)}), tmp_path / "a.parquet")
    with pytest.raises(UserError, match=r"text_field is 'text', but the columns are \['body', 'n'"):
        read(tmp_path)
    with pytest.raises(UserError, match="text_field is 'n', a column of int64, not of text"):
        read(tmp_path, text_field="n")
    (tmp_path / "b.jsonl").write_bytes(lines())
    with pytest.raises(UserError, match=r"both Parquet \(a\.parquet\) and JSON \(b\.jsonl\)"):
        read(tmp_path)


def test_what_dvc_watches_is_the_path_itself(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="needs is 'elsewhere'; with source 'local' it is"):
        params(tmp_path, needs="elsewhere")
