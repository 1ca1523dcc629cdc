"""Tasks that do not fit a length, prompts without answer prefix, and a process without Ray."""

import json
import sys
from pathlib import Path

import pytest

from stages.common.files import read_jsonl
from tests.stages.evaluate.asked import call, tiny_llama

ASKED = ("--num", 2, "--tasks", "niah_single_1,vt", "--lengths", "400,900", "--new-tokens", 8)


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_llama(tmp_path_factory.mktemp("llama"))


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
    assert "\nleft out: 400 is too short for vt: its shortest prompt and its 8 new tokens" in text
    metrics = json.loads(Path("out/metrics.json").read_text())
    assert {task: set(row) for task, row in metrics["cells"].items()} == {
        "niah_single_1": {"400", "900"},
        "vt": {"900"},
    }
    assert len(metrics["left_out"]) == 1
    assert metrics["mean"]["400"]["tasks"] == 1
    code, text = call(capsys, llama, *ASKED, "--strict")
    assert (code, text.count("\n")) == (2, 1)
    assert "length 400 is too short for vt" in text


def test_a_prompt_without_answer_prefix(capsys, llama: Path) -> None:
    code, text = call(capsys, llama, *ASKED, "--no-prefix", "--out", "bare")
    assert code == 0, text
    assert text.startswith("ruler (nvidia), without answer prefix, score")
    bare = list(read_jsonl(Path("bare/ruler/900/pred/vt.jsonl")))
    assert all(row["input"].endswith("in the text above.") for row in bare)
    code, text = call(capsys, llama, "--suite", "longbench", "--data", ".", "--no-prefix")
    assert (code, text.count("\n")) == (2, 1)
    assert "--no-prefix is for --suite ruler" in text
