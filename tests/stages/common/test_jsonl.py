"""Lines of JSONL files that users bring."""

from pathlib import Path

import pytest

from stages.common.errors import UserError
from stages.common.jsonl import objects, text, texts


def test_objects_come_with_their_line_numbers(tmp_path: Path) -> None:
    file = tmp_path / "x.jsonl"
    file.write_bytes('{"a": "\u2028"}\r\n\n  \n{"b": ["c"]}'.encode())  # \u2028 ends no line
    assert list(objects(file)) == [(1, {"a": "\u2028"}), (4, {"b": ["c"]})]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{}\n[1]", "x.jsonl line 2: not a JSON object"),
        (b"{}\n\n{oops", r"x.jsonl line 3: not JSON \(Expecting property name"),
        (b"[" * 100_000, r"x.jsonl line 1: not JSON \(maximum recursion depth"),
        (b'{"n": ' + b"9" * 5000 + b"}", r"x.jsonl line 1: not JSON \(Exceeds the limit"),
        (b"\xff", "x.jsonl: not UTF-8 text; give a JSONL file"),
        (b"\x00", r"x.jsonl line 1: not JSON \(Expecting value"),
    ],
)
def test_other_lines_are_named(tmp_path: Path, content: bytes, message: str) -> None:
    file = tmp_path / "x.jsonl"
    file.write_bytes(content)
    with pytest.raises(UserError, match=message):
        list(objects(file))


def test_no_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"y.jsonl: No such file or directory; give a JSONL file"):
        list(objects(tmp_path / "y.jsonl"))
    with pytest.raises(UserError, match="Is a directory; give a JSONL file"):
        list(objects(tmp_path))


def test_fields_of_another_kind_are_named() -> None:
    row = {"a": "x", "b": ["y"], "c": [1]}
    assert text(Path("f"), 3, row, "a") == "x"
    assert texts(Path("f"), 3, row, "b") == ["y"]
    for key in ("b", "missing"):
        with pytest.raises(UserError, match=f"f line 3: no text '{key}' in it"):
            text(Path("f"), 3, row, key)
    for key in ("a", "c", "missing"):
        with pytest.raises(UserError, match=f"f line 3: no list of texts '{key}' in it"):
            texts(Path("f"), 3, row, key)
