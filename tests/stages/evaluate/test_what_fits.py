"""Tasks that do not fit a length, prompts without answer prefix, and a process without Ray."""

import json
import sys
from pathlib import Path

import pytest

from stages.common.files import read_jsonl
from tests.stages.evaluate.asked import call

ASKED = ("--num", 2, "--tasks", "niah_single_1,vt", "--lengths", "900", "--new-tokens", 8)


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No Ray: an import of it would raise."""
    monkeypatch.setenv("REPO_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("REPO_EVAL_RAY", "0")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "ray", None)


def test_a_task_that_does_not_fit_is_left_out_and_named(capsys, llama: Path) -> None:
    code, text = call(capsys, llama, *ASKED, "--out", "out")
    assert code == 0, text
    assert "\nleft out: 900 is too short for vt: its shortest prompt and its 8 new tokens" in text
    metrics = json.loads(Path("out/metrics.json").read_text())
    assert set(metrics["cells"]) == {"niah_single_1"}
    assert len(metrics["left_out"]) == 1
    assert metrics["mean"]["900"]["tasks"] == 1
    code, text = call(capsys, llama, *ASKED, "--strict")
    assert (code, text.count("\n")) == (2, 1)
    assert "length 900 is too short for vt" in text


def test_a_prompt_without_answer_prefix(capsys, llama: Path) -> None:
    code, text = call(capsys, llama, *ASKED, "--no-prefix", "--out", "bare")
    assert code == 0, text
    assert "\nruler (nvidia), without answer prefix, score ± standard error" in text
    bare = list(read_jsonl(Path("bare/ruler/900/pred/niah_single_1.jsonl")))
    assert all(row["input"].endswith("mentioned in the provided text?") for row in bare)
    code, text = call(capsys, llama, "--suite", "longbench", "--data", ".", "--no-prefix")
    assert (code, text.count("\n")) == (2, 1)
    assert "--no-prefix is for --suite ruler" in text


def test_records_say_which_engine_decoded(capsys, llama: Path) -> None:
    """What was asked for is no fallback, and is called by its name."""
    for engine, decoded in (("own", "own"), ("static", "generate, padded on the left")):
        more = ("--tasks", "niah_single_1", "--engine", engine, "--out", engine)
        code, text = call(capsys, llama, *ASKED, *more)
        assert code == 0, text
        made = json.loads(Path(engine, "metrics.json").read_text())["made"]
        assert made["decoded"] == [decoded]
    assert made["because"] == ["asked for"]
    rows = [
        list(read_jsonl(Path(f"{engine}/samples/niah_single_1-900.jsonl")))
        for engine in ("own", "static")
    ]
    assert [row["prediction"] for row in rows[0]] == [row["prediction"] for row in rows[1]]
