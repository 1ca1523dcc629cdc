"""What a terminal, a log and CI get to see."""

import io
from typing import Any

import pytest

from pipeline.console import Console, mode_of


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def shown(mode: Any, capsys: pytest.CaptureFixture[str], failed: bool = False) -> str:
    console = Console(mode, 1)
    with console.live():
        console.started("train@repo-42", "run: never ran here")
        console.line("train@repo-42", "train@repo-42: 1,000 tokens of 4,000, 25 %, 10/s, 40 s left")
        console.line("train@repo-42", "a word from the stage")
        console.ended("train@repo-42", "failed: bad" if failed else "done", failed)
    return capsys.readouterr().out


def test_mode(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    assert mode_of(Terminal()) == "bars"
    assert mode_of(io.StringIO()) == "lines"
    monkeypatch.setenv("CI", "true")
    assert mode_of(Terminal()) == "quiet"


def test_a_log_gets_every_line(capsys: pytest.CaptureFixture[str]) -> None:
    text = shown("lines", capsys)
    assert "[train@repo-42] run: never ran here" in text
    assert "25 %" in text
    assert "a word from the stage" in text


def test_a_line_and_its_end_are_one_write(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stages that ended together once shared a line of the log."""
    written: list[str] = []

    class Log(io.StringIO):
        def write(self, text: str) -> int:
            written.append(text)
            return len(text)

    monkeypatch.setattr("sys.stdout", Log())
    shown("lines", capsys)
    lines = [text for text in written if text]
    assert len(lines) == 4 and all(text.endswith("\n") for text in lines)


def test_ci_gets_start_and_end_and_the_last_lines_of_a_failure(
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = shown("quiet", capsys)
    assert text.splitlines() == ["[train@repo-42] run: never ran here", "[train@repo-42] done"]
    text = shown("quiet", capsys, failed=True)
    assert "a word from the stage" in text
    assert text.splitlines()[-1] == "[train@repo-42] failed: bad"


def test_a_terminal_gets_a_bar_instead_of_progress_lines(
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = shown("bars", capsys)
    assert "all stages" in text
    assert "1,000 tokens of 4,000" not in text
    assert "a word from the stage" in text
