"""How a stage ends: one line, an exit code, a status file, and only the params it may read."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.use import profiles
from stages.common import entry
from stages.common.errors import FAILED, TRY_AGAIN, USER_MISTAKE, TryAgain, UserError
from stages.common.stage import Job
from stages.common.status import VARIABLE, read
from stages.extend.stage import STAGE


@pytest.fixture(autouse=True)
def _in_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "params.yaml").write_text(profiles()["smoke"])
    monkeypatch.chdir(tmp_path)


def ending(do: Callable[[Job], None]) -> entry.Status:
    return entry.attempt(replace(STAGE, run=do), "rope", 42)


def test_each_end_has_its_code() -> None:
    def user(job: Job) -> None:
        raise UserError("train.lr is -1: make it positive")

    def again(job: Job) -> None:
        raise TryAgain("a node went")

    def broken(job: Job) -> None:
        raise ZeroDivisionError("by zero")

    assert ending(lambda job: None).code == 0
    assert ending(user) == (USER_MISTAKE, "train.lr is -1: make it positive")
    assert ending(again) == (TRY_AGAIN, "a node went")
    assert ending(broken) == (FAILED, "ZeroDivisionError: by zero")


def test_a_stage_cannot_read_what_dvc_does_not_track() -> None:
    def peek(job: Job) -> None:
        assert job.params.extend.factor > 1
        print(job.params.train.lr)

    status = ending(peek)
    assert status.code == FAILED
    assert "train" in status.line


def test_an_unknown_item_is_refused() -> None:
    assert entry.attempt(STAGE, "rope", 7).line == "--seed 7 is not among the params' seeds [42]"
    assert entry.attempt(STAGE, "alibi", 42).code == USER_MISTAKE


def test_main_exits_and_reports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def user(job: Job) -> None:
        raise UserError("no such folder")

    monkeypatch.setenv(VARIABLE, str(tmp_path / "status.json"))
    monkeypatch.setattr("signal.signal", lambda *_: None)
    with pytest.raises(SystemExit) as ended:
        entry.main(replace(STAGE, run=user), ["--variant", "rope", "--seed", "42"])
    assert ended.value.code == USER_MISTAKE
    assert read(tmp_path / "status.json") == (USER_MISTAKE, "no such folder")
    assert capsys.readouterr().err == "extend: no such folder\n"
