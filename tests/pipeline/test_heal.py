"""Files of DVC's that a kill cut off, and files that are whole."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pipeline.heal import KEPT, heal, keep_lock
from tests.pipeline.conftest import Shell


@pytest.mark.parametrize("cut", ["", "schema: '", "schema: '2.0'\nstages:\n  one:\n    cm"])
def test_a_cut_off_lock_file_comes_back_as_it_was(project: Path, shell: Shell, cut: str) -> None:
    shell(project, "dvc", "repro")
    keep_lock(project)
    lock = project / "dvc.lock"
    whole = lock.read_text()
    lock.write_text(cut)
    assert shell(project, "dvc", "status", check=False).returncode != 0
    (said,) = heal(project)
    assert said == "dvc.lock was cut off by a kill; taken from the copy after the last stage"
    assert lock.read_text() == whole


def test_without_a_copy_the_stages_are_checked_again(project: Path, shell: Shell) -> None:
    shell(project, "dvc", "repro")
    (project / "dvc.lock").write_text("schema: '2.0'\nstages:\n  one: {cmd")
    assert heal(project) == [
        "dvc.lock was cut off by a kill; removed, the stages are checked again"
    ]
    shell(project, "dvc", "repro")
    assert "up to date" in shell(project, "dvc", "status").stdout


def test_a_cut_off_read_write_lock_is_removed(project: Path, shell: Shell) -> None:
    shell(project, "dvc", "repro")
    held = project / ".dvc" / "tmp" / "rwlock"
    held.write_text('{"write": {"out/o')
    assert shell(project, "dvc", "repro", "--force", check=False).returncode != 0
    assert heal(project) == [".dvc/tmp/rwlock was cut off by a kill; removed"]
    shell(project, "dvc", "repro", "--force")


def test_whole_files_stay(project: Path, shell: Shell) -> None:
    shell(project, "dvc", "repro")
    before = (project / "dvc.lock").stat().st_mtime_ns
    assert heal(project) == []
    assert (project / "dvc.lock").stat().st_mtime_ns == before


def test_half_a_lock_file_is_not_kept(project: Path, shell: Shell) -> None:
    shell(project, "dvc", "repro")
    keep_lock(project)
    whole = (project / "dvc.lock").read_text()
    (project / "dvc.lock").write_text("schema: '2.0'\nstages:\n  one: {cmd")
    keep_lock(project)
    assert (project / ".dvc/tmp/repo-pipeline/dvc.lock").read_text() == whole


def test_stages_that_end_together_keep_one_whole_copy(tmp_path: Path) -> None:
    """Their temporary file has one name; without a lock one of them finds it gone."""
    (tmp_path / "dvc.lock").write_text("schema: '2.0'\nstages:\n  one: {cmd: x}\n")
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: keep_lock(tmp_path), range(200)))
    assert (tmp_path / KEPT / "dvc.lock").read_text() == (tmp_path / "dvc.lock").read_text()
