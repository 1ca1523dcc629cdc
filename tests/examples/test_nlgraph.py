"""`examples/nlgraph.py`: documents that are prompt and answer of the benchmark, and fit."""

import json
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from stages.benchmarks import nlgraph
from stages.benchmarks.params import NLGraphParams
from stages.common.encoder import Encoder
from tests.stages.bytes_tokenizer import save_tokenizer

SCRIPT = Path(__file__).parents[2] / "examples" / "nlgraph.py"
QUESTION = (
    "In an undirected graph, (i,j) means that node i and node j are connected with an undirected edge."
    "\nThe nodes are numbered from 0 to 3, and the edges are: {edges}"
    "\nQ: Is there a cycle in this graph?\nA:"
)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Three questions of the training split, the last of which is long, and one of the test's."""
    edges = ["(0,1) (1,2)", "(0,1) (1,2) (2,0)", "(0,1) " * 100]
    answers = ["No, there is no cycle in this graph.", "Yes, there is a cycle in this graph."]
    rows = {
        str(number): {
            "question": QUESTION.format(edges=one), "answer": answers[number % 2], "difficulty": "easy",
        }
        for number, one in enumerate(edges)
    }  # fmt: skip
    folder = tmp_path / "NLGraph" / "cycle"
    folder.mkdir(parents=True)
    (folder / "train.json").write_text(json.dumps(rows))
    (folder / "test.json").write_text(json.dumps({"9": {**rows["1"], "answer": "never read"}}))
    (tmp_path / "tokenizer").mkdir()
    save_tokenizer(tmp_path / "tokenizer")
    return folder.parent


def test_a_document_is_what_the_benchmark_asks_and_expects(source: Path, tmp_path: Path) -> None:
    out, tokenizer = tmp_path / "own" / "graphs.jsonl", tmp_path / "tokenizer"
    words = [str(source), str(tokenizer), "--tasks", "cycle", "--tokens", "300"]
    done = subprocess.run(
        [sys.executable, str(SCRIPT), *words, "--out", str(out)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == "cycle: 2 documents, 1 longer than 300 tokens\n"
    texts = [json.loads(line)["text"] for line in out.read_text().splitlines()]
    params = NLGraphParams(path=str(source), split="train", tasks=("cycle",))
    asked = list(nlgraph.wanted(params, "cycle_easy"))[:2]
    assert texts == [f"{one.prompt} {one.answers[0]}" for one in asked]
    assert all(Encoder(tokenizer).count(text) <= 300 for text in texts)


@pytest.mark.parametrize("content", ["[]", '{"0": 1}', '{"0": {"question": "x"}}'])
def test_another_layout_is_one_line_and_leaves_nothing(
    source: Path, tmp_path: Path, content: str, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    (source / "cycle" / "train.json").write_text(content)
    out = tmp_path / "own" / "graphs.jsonl"
    words = [str(source), str(tmp_path / "tokenizer"), "--tasks", "cycle", "--out", str(out)]
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), *words])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(SCRIPT), run_name="__main__")
    lines = capsys.readouterr().err.splitlines()
    assert ended.value.code == 2 and len(lines) == 1 and "not an object of questions" in lines[0]
    assert not list(out.parent.iterdir())
