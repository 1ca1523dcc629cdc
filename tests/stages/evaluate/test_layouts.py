"""RULER's and LongBench's own files in, predictions in their layouts out, all scored alike."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from stages.benchmarks import samples
from stages.evaluate import pool
from tests.stages.evaluate.asked import WINDOW, call, scored
from tests.stages.evaluate.without_ray import in_this_process


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("REPO_RUNS", str(tmp_path / "runs"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(pool, "_compute", in_this_process)
    return tmp_path


def _ruler(capsys: Any, llama: Path, task: str, file: Path) -> None:
    asked = ("--task", task, "--length", 900, "--num", 2, "--tokenizer", llama, "--out", file)
    code, text = call(capsys, *asked, command=samples.main)
    assert code == 0, text


@pytest.mark.parametrize("layout", ["{task}/validation.jsonl", "900/data/{task}/test.jsonl"])
def test_ruler_s_own_files(capsys, llama: Path, folder: Path, layout: str) -> None:
    for task in ("niah_single_1", "fwe"):
        _ruler(capsys, llama, task, folder / "data" / layout.format(task=task))
    asked = ["--num", 1] if "900" in layout else ["--lengths", "900"]
    code, text = call(capsys, llama, "--data", "data", *asked, "--out", "out")
    assert code == 0, text
    metrics = json.loads(Path("out/metrics.json").read_text())
    assert {task: list(row) for task, row in metrics["cells"].items()} == {
        "niah_single_1": ["900"],
        "fwe": ["900"],
    }
    assert metrics["cells"]["fwe"]["900"]["n"] == (1 if "900" in layout else 2)
    assert set(metrics["corpora"]["ruler"]) == {"niah_single_1-900", "fwe-900"}
    built = json.loads((folder / "data" / layout.format(task="fwe")).read_text().splitlines()[0])
    told = json.loads(Path("out/ruler/900/pred/fwe.jsonl").read_text().splitlines()[0])
    assert list(told) == ["index", "pred", "input", "outputs", "others", "truncation", "length"]
    assert told["input"] == built["input"] + built["answer_prefix"]
    assert (told["outputs"], told["length"]) == (built["outputs"], built["length"])


def test_all_layouts_score_alike(capsys, llama: Path, folder: Path) -> None:
    asked = (llama, "--tasks", "fwe,niah_single_1", "--lengths", f"900,{WINDOW}", "--num", 2)
    assert call(capsys, *asked, "--new-tokens", 30, "--out", "out")[0] == 0
    code, own = scored(capsys, "out")
    assert code == 0, own
    assert own.count("over 2 predictions") == 4
    code, theirs = scored(capsys, "out/ruler")
    assert code == 0, theirs
    line = re.compile(r"(fwe|niah_single_1).*: (\d+\.\d\d) over")
    assert len(line.findall(own)) == 4
    assert sorted(line.findall(own)) == sorted(line.findall(theirs))
    code, text = scored(capsys, "out/samples/fwe-900.jsonl", "--json")
    assert (code, json.loads(text)["task"]) == (0, "fwe")


def test_longbench_e_is_a_suite_of_its_own(capsys, llama: Path, folder: Path) -> None:
    rows = [
        {"input": "Who?", "context": "Ada. " * 9, "answers": ["Ada"], "length": words}
        | {"all_classes": ["Ada", "Bob"]}
        for words in (3999, 4000, 8000)
    ]
    Path("d").mkdir()
    for task in ("trec", "trec_e", "qasper_e"):
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        Path(f"d/{task}.jsonl").write_text(lines)
    asked = (llama, "--data", "d", "--new-tokens", 5, "--out", "out")
    code, text = call(capsys, *asked, "--suite", "longbench_e")
    assert code == 0, text
    metrics = json.loads(Path("out/metrics.json").read_text())
    assert set(metrics["cells"]) == {"trec_e", "qasper_e"}
    assert "mean over tasks by words of the context: 0-4k" in text
    (file,) = Path("out/longbench/pred_e").glob("*/trec.jsonl")
    told = [json.loads(line) for line in file.read_text().splitlines()]
    assert [list(row) for row in told] == [["pred", "answers", "all_classes", "length"]] * 3
    assert "by length 0-4k" in scored(capsys, "out/longbench")[1]
    means = [scored(capsys, place)[1].splitlines()[-1] for place in ("out", "out/longbench")]
    assert means[0] == means[1]
    shutil.rmtree("out")
    code, text = call(capsys, *asked, "--suite", "longbench")
    assert code == 0, text
    assert "by words" not in text
    assert set(json.loads(Path("out/metrics.json").read_text())["cells"]) == {"trec"}
    assert not Path("out/longbench/pred_e").exists()


BAD = [
    (("--data", "none"), "--data is 'none': no such folder"),
    (("--data", "."), "--data is '.': none of RULER's <task>/validation.jsonl"),
    (("--data", "d", "--tasks", "vt"), "--data is 'd': neither vt/validation.jsonl nor vt.jsonl"),
    (
        ("--data", "d", "--tasks", "fwe", "--lengths", "100"),
        r"d/fwe.jsonl line 1: .* more than 100; .* longer",
    ),
    (("--data", "d", "--tasks", "cwe", "--lengths", "999"), "cwe.jsonl line 1: no text 'input'"),
    (("--data", "d", "--max-length", "99"), "--max-length is for --suite longbench"),
    (("--data", "d", "--suite", "longbench_e"), "--data is 'd': none of LongBench's <task>_e"),
    (("--suite", "longbench", "--data", "d", "--tasks", "trec_e"), "is of --suite longbench_e"),
    (
        ("--suite", "longbench", "--data", "d", "--max-length", "990"),
        "--max-length is 990: trec has room for 936 tokens",
    ),
]


@pytest.mark.parametrize(("more", "message"), BAD)
def test_mistakes_are_one_line(capsys, llama: Path, folder: Path, more, message: str) -> None:
    Path("d").mkdir()
    row = {"input": "a b\nWhich?" + " x" * 40, "outputs": ["a"], "answer_prefix": " They:"}
    Path("d/fwe.jsonl").write_text(json.dumps(row) + "\n")
    Path("d/cwe.jsonl").write_text('{"outputs": ["a"]}\n')
    asked = {"input": "Who?", "context": "Ada.", "answers": ["Ada"], "all_classes": ["Ada"]}
    Path("d/trec.jsonl").write_text(json.dumps(asked) + "\n")
    code, text = call(capsys, llama, *more)
    assert code == 2, text
    assert re.search(message, text), text
    assert text.count("\n") == 1
