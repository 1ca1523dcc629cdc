"""Outs and cache share their bytes: by what DVC leaves on disk, not by what it is told."""

from pathlib import Path

import pytest

from pipeline import cache_links
from pipeline.doctor import _links
from tests.pipeline.conftest import Shell


def shipped(project: Path, shell: Shell) -> None:
    shell(project, "dvc", "config", "cache.type", ",".join(cache_links.SHIPPED))


def local(project: Path) -> str:
    file = project / ".dvc" / "config.local"
    return file.read_text() if file.is_file() else ""


def in_cache(project: Path, out: Path) -> bool:
    """Whether the out's bytes are those of a file in the cache."""
    return any(file.samefile(out) for file in (project / ".dvc/cache/files").rglob("*"))


def test_a_new_out_is_on_disk_once(project: Path, shell: Shell) -> None:
    shipped(project, shell)
    cache_links.settle(project)
    shell(project, "dvc", "repro")
    out = project / "out" / "one"
    if cache_links.works("reflink", project / ".dvc", project):
        assert local(project) == ""
        return
    assert "hardlink,symlink,copy" in local(project)
    assert in_cache(project, out)
    before = local(project)
    cache_links.settle(project)
    assert local(project) == before
    # the stage runs again, though its outs are read-only now, and the earlier one comes from the cache
    params = project / "params.yaml"
    first = params.read_text()
    params.write_text(first.replace("one: 1", "one: 2"))
    shell(project, "dvc", "repro")
    assert (out.read_text(), in_cache(project, out)) == ("2", True)
    params.write_text(first)
    shell(project, "dvc", "repro")
    assert (out.read_text(), in_cache(project, out)) == ("1", True)


def test_where_reflinks_work_nothing_is_written(
    project: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipped(project, shell)
    monkeypatch.setattr(cache_links, "works", lambda kind, cache, root: kind == "reflink")
    cache_links.settle(project)
    assert local(project) == ""


@pytest.mark.parametrize("chosen", ["copy", "symlink", "reflink,copy"])
def test_a_choice_of_the_users_stays(chosen: str, project: Path, shell: Shell) -> None:
    shell(project, "dvc", "config", "cache.type", chosen)
    cache_links.settle(project)
    assert local(project) == ""


def test_the_doctor_tells_what_becomes_of_new_data(project: Path) -> None:
    cache = project / ".dvc"
    if not cache_links.works("reflink", cache, project):
        found = _links(project, cache, cache_links.SHIPPED)
        assert (found.verdict, "new data exist twice" in found.found) == ("note", True)
    assert _links(project, cache, ["hardlink", "copy"]).verdict == "ok"
    assert "copies" in _links(project, cache, ["copy"]).found
