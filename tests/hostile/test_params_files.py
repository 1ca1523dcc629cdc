"""Params files as editors and people leave them: read, or one line, by every way that reads them."""

from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.overrides import compose
from pipeline.use import migrate, profiles
from stages.common.errors import UserError
from stages.params import load

SMOKE = profiles()["smoke"].encode()


def test_what_editors_do_to_a_file_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_bytes(SMOKE)
    plain = load(path)
    for changed in (
        SMOKE.replace(b"\n", b"\r\n"),
        b"\xef\xbb\xbf" + SMOKE,
        SMOKE.replace(b"seeds: [42]", b"seeds: &own [42]"),
        SMOKE.replace(b"lr: 3.0e-3", b"lr: 3e-3"),
        b"---\n" + SMOKE + b"...\n",
    ):
        path.write_bytes(changed)
        assert load(path) == plain
        path.write_text(compose(tmp_path, None, ["train.lr=3e-3"]))
        assert load(path) == plain


BAD = {
    "tab": (SMOKE.replace(b"\n  lr:", b"\n\tlr:", 1), r"line \d+: not YAML"),
    "same key twice": (SMOKE + b"schema: 2\n", "duplicate key"),
    "UTF-16": (SMOKE.decode().encode("utf-16"), "not UTF-8"),
    "Latin-1": (SMOKE + b"# caf\xe9\n", r"line \d+: not UTF-8"),
    "zero byte": (SMOKE + b"\0", "not YAML"),
    "a tag": (SMOKE + b"x: !!python/object/apply:os.system [ls]\n", "not YAML"),
    "two documents": (SMOKE + b"---\na: 1\n", "not YAML"),
    "deep": (SMOKE + b"x: " + b"[" * 700 + b"]" * 700 + b"\n", "nested too deeply"),
    "empty": (b"", "give keys with values"),
    "a list": (b"[1]", "give keys with values"),
    "a word": (b"hello", "give keys with values"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_file_that_cannot_be_read_is_one_line(tmp_path: Path, name: str) -> None:
    content, expected = BAD[name]
    path = tmp_path / "params.yaml"
    path.write_bytes(content)
    ways: tuple[Callable[[], object], ...] = (
        lambda: load(path),
        lambda: compose(tmp_path, None, ["train.lr=1e-4"]),
        lambda: migrate(tmp_path),
    )
    for way in ways[: 2 if expected.startswith("give") else 3]:
        with pytest.raises(UserError, match=expected) as raised:
            way()
        assert len(str(raised.value).splitlines()) == 1
        assert "params.yaml" in str(raised.value)
    assert path.read_bytes() == content


def test_a_folder_in_the_file_s_place_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").mkdir()
    for way in (lambda: load(tmp_path / "params.yaml"), lambda: compose(tmp_path, None, ["a=1"])):
        with pytest.raises(UserError, match=r"params\.yaml: Is a directory"):
            way()


@pytest.mark.parametrize("value", [".inf", "-.inf", ".nan"])
def test_no_number_is_without_end(tmp_path: Path, value: str) -> None:
    with pytest.raises(UserError, match=r"train\.lr is .*: give a finite number"):
        compose(tmp_path, "smoke", [f"train.lr={value}"])
