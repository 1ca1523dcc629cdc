"""Outs are whole or as they were."""

from pathlib import Path

import pytest

from stages.common.outs import building


def test_a_clean_end_swaps_the_folder_in(tmp_path: Path) -> None:
    out = tmp_path / "data" / "x"
    for content in ("one", "two"):
        with building(out) as folder:
            folder.mkdir()
            (folder / content).write_text(content)
        assert [file.name for file in out.iterdir()] == [content]
    assert [path.name for path in out.parent.iterdir()] == ["x"]


def test_a_failure_leaves_the_earlier_out(tmp_path: Path) -> None:
    out = tmp_path / "x.json"
    out.write_text("earlier")
    with pytest.raises(RuntimeError), building(out) as file:
        file.write_text("half")
        raise RuntimeError
    assert out.read_text() == "earlier"
    assert [path.name for path in tmp_path.iterdir()] == ["x.json"]


def test_a_kill_between_the_renames_loses_nothing(tmp_path: Path) -> None:
    out = tmp_path / "x"
    (tmp_path / ".old-x").mkdir()
    (tmp_path / ".old-x" / "kept").touch()
    (tmp_path / ".building-x").mkdir()
    with pytest.raises(RuntimeError), building(out):
        assert (out / "kept").exists()
        raise RuntimeError
    assert (out / "kept").exists()
