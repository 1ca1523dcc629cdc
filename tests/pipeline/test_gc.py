"""What can go, what stays, and that it goes."""

import os
import time
from pathlib import Path

import pytest
from filelock import FileLock
from ruamel.yaml import YAML

from pipeline.gc import delete, leftovers
from pipeline.use import profiles
from stages.common.errors import UserError
from stages.common.files import write_json
from tests.pipeline.conftest import Shell


@pytest.fixture
def runs(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = project / "runs"
    monkeypatch.setenv("REPO_RUNS", str(folder))
    return folder


def work(runs: Path, name: str, finished: bool, days: float = 0.0, label: str = "two@a") -> Path:
    folder = runs / label.partition("@")[0] / name
    folder.mkdir(parents=True)
    (folder / "weights").write_bytes(b"x" * 1000)
    write_json(folder / "state.json", {"label": label, "finished": finished})
    long_ago = time.time() - days * 86400
    os.utime(folder / "state.json", (long_ago, long_ago))
    return folder


def test_finished_and_abandoned_work_can_go_and_no_other(
    project: Path, runs: Path, shell: Shell
) -> None:
    shell(project, "dvc", "repro", "-q")
    done = work(runs, "done", finished=True)
    fresh = work(runs, "fresh", finished=False)
    old = work(runs, "old", finished=False, days=40)
    held = work(runs, "held", finished=True)
    with FileLock(held / ".lock"):
        found = list(leftovers(project, days=30))
    assert {one.path for one in found} == {done, old}
    assert all(one.bytes >= 1000 for one in found)
    assert any("unfinished, not used for 40 days" in one.why for one in found)
    for one in found:
        delete(project, one)
    assert not done.exists()
    assert not old.exists()
    assert fresh.is_dir()
    assert held.is_dir()


def test_what_dvc_does_not_have_stays(project: Path, runs: Path, shell: Shell) -> None:
    never_ran = work(runs, "alone", finished=True)
    assert list(leftovers(project, days=30)) == []
    shell(project, "dvc", "repro", "-q")
    assert [one.path for one in leftovers(project, days=30)] == [never_ran]
    (project / "out" / "two-a").unlink()
    (project / "out" / "two-a").write_text("made by the stage alone, or a commit that failed")
    assert list(leftovers(project, days=30)) == []


@pytest.mark.parametrize(
    "content",
    ["{}", "[]", "not JSON", '{"label": 1, "finished": true}', '{"label": "x@y"}', "\xff"],
)
def test_what_others_keep_beside_stays(project: Path, runs: Path, content: str) -> None:
    foreign = runs / "theirs" / "abc" / "state.json"
    foreign.parent.mkdir(parents=True)
    foreign.write_text(content, encoding="latin-1")
    for name in ("worktrees", "logs"):
        (runs / name / "theirs").mkdir(parents=True)
        os.utime(runs / name / "theirs", (0, 0))
    os.utime(foreign, (0, 0))
    assert list(leftovers(project, days=30)) == []


def test_old_milestones_of_finished_runs_can_go(project: Path, runs: Path) -> None:
    old, new = (runs / f"finished/train@repo-1/{key}/milestones" for key in "ab")
    for folder in (old, new):
        folder.mkdir(parents=True)
    os.utime(old, (0, 0))
    (found,) = leftovers(project, days=30)
    assert found.path == old and found.why.startswith("milestones of train@repo-1, not used for ")
    # Not those that a variant is taken from, however long nobody touched them.
    content = YAML(typ="safe").load(profiles()["smoke"])
    origin = {"folder": os.path.relpath(old / "step-10", project), "sha256": "0" * 64}
    content["definitions"]["repo"]["train"] = {"from": [origin]}
    with (project / "params.yaml").open("w") as file:
        YAML().dump(content, file)
    assert list(leftovers(project, days=30)) == []


def test_old_logs_can_go(project: Path, runs: Path) -> None:
    folder = runs / "logs" / "20200101-000000"
    folder.mkdir(parents=True)
    os.utime(folder, (0, 0))
    (runs / "logs" / "20991231-000000").mkdir()
    assert [one.path for one in leftovers(project, days=30)] == [folder]


def test_a_cluster_s_checkouts_and_what_none_of_them_names(
    project: Path, runs: Path, tmp_path: Path
) -> None:
    long_ago = time.time() - 40 * 86400

    def cached(md5: str, text: str, age: float = long_ago) -> Path:
        file = runs / "cache" / "files" / "md5" / md5[:2] / md5[2:]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        os.utime(file, (age, age))
        return file

    def job(name: str, lock: str, age: float) -> Path:
        folder = runs / "checkouts" / name
        folder.mkdir(parents=True)
        for file, text in ((".checkout-ready", ""), ("dvc.lock", lock)):
            (folder / file).write_text(text)
            os.utime(folder / file, (age, age))
        os.utime(folder, (age, age))
        return folder

    a, b, c, d, e = (digit * 32 for digit in "abcde")
    part = cached(a, "part of a folder that is named")
    whole = cached(f"{b}.dir", f'[{{"md5": "{a}", "relpath": "x"}}]')
    kept_entry = cached(c, "of an entry that is kept")
    young = cached(d, "not old", time.time())
    gone = cached(e, "of a run that is gone")
    (runs / "cache" / "mine").write_text("no object of DVC's")
    write_json(runs / "finished" / "one" / "key.json", {"outs": [{"path": "y", "md5": c}]})
    recent = job("recent", f"stages: {{x: {{outs: [{{path: p, md5: {b}.dir}}]}}}}", time.time())
    old = job("old", "stages: {}", long_ago)
    held = job("held", "stages: {}", long_ago)
    with FileLock(held / ".lock"):
        found = list(leftovers(project, days=30))
        assert {one.path for one in found} == {old, runs / "cache"}
        for one in found:
            delete(project, one)
    assert recent.is_dir() and held.is_dir() and not old.exists()
    assert not gone.exists() and (runs / "cache" / "mine").is_file()
    assert all(file.is_file() for file in (part, whole, kept_entry, young))

    (recent / "dvc.lock").write_text("stages: [")
    with pytest.raises(UserError, match="nothing is cleared"):
        list(leftovers(project, days=30))
