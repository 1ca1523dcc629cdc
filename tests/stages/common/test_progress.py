"""Progress: lines that read back as what was said, bars on a terminal, little under CI."""

import sys
from typing import Any

import pytest

from stages.common.progress import Progress, Tick, duration, parse


def lines_of(capsys: pytest.CaptureFixture[str], total: float | None, *updates: Any) -> list[str]:
    progress = Progress("train@repo-42", total, "tokens", every_s=0.0)
    for done in updates:
        progress.update(done, "loss 3.2")
    return capsys.readouterr().out.splitlines()


@pytest.fixture(autouse=True)
def _no_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)


def test_a_line_reads_back(capsys: pytest.CaptureFixture[str]) -> None:
    lines = lines_of(capsys, 4000, 0, 1000, 4000)
    ticks = [parse(line) for line in lines]
    assert all(ticks)
    assert [tick.done for tick in ticks if tick] == [0, 1000, 4000]
    assert {(t.name, t.unit, t.total, t.note) for t in ticks if t} == {
        ("train@repo-42", "tokens", 4000, "loss 3.2")
    }
    assert ticks[1] and ticks[1].left
    assert ticks[2] and ticks[2].left is None


def test_a_line_without_a_total_reads_back(capsys: pytest.CaptureFixture[str]) -> None:
    (line,) = lines_of(capsys, None, 12345)
    assert parse(line) == Tick("train@repo-42", 12345, "tokens", None, None, "loss 3.2")


@pytest.mark.parametrize("line", ["corpus: 35 documents to train on", "> python -m x", ""])
def test_other_lines_are_no_progress(line: str) -> None:
    assert parse(line) is None


def test_ci_gets_the_last_line_only(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", "1")
    assert len(lines_of(capsys, 4000, 0, 1000, 2000, 4000)) == 1


def test_a_terminal_gets_a_bar(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert lines_of(capsys, 10, 0, 10) == []
    progress = Progress("train", 10, "tokens")
    progress.update(5)
    progress.update(10)
    assert "train: 100%" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (119, "119 s"), (121, "2 min"), (3600, "1 h 00 min"), (11100, "3 h 05 min")],
)
def test_durations_are_for_people(seconds: float, text: str) -> None:
    assert duration(seconds) == text
