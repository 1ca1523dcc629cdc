"""``repo-pipeline evaluate`` on folders as others save them: no DVC, no params, nothing twice."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from stages.benchmarks import nlgraph
from stages.common.files import read_jsonl, write_jsonl
from stages.evaluate import extras, pool
from tests.stages.evaluate.asked import SHAPE, WINDOW, call, save
from tests.stages.evaluate.without_ray import in_this_process
from tests.stages.nlgraph_questions import write as write_nlgraph


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("REPO_RUNS", str(tmp_path / "runs"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.ray
def test_a_table_records_and_nothing_twice(
    capsys, llama: Path, runs: Path, ray_session, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = (llama, "--lengths", f"900,{WINDOW}", "--num", 2, "--tasks", "niah_single_1,fwe")
    code, text = call(capsys, *asked, "--out", "first")
    assert code == 0, text
    lines = text.splitlines()
    assert any(line.startswith("mean over tasks") and "±" in line for line in lines)
    assert any("2 tasks that all lengths have: weighted mean" in line for line in lines)
    metrics = json.loads(Path("first/metrics.json").read_text())
    assert set(metrics["cells"]) == {"niah_single_1", "fwe"}
    assert metrics["cells"]["fwe"]["900"]["n"] == 2
    assert metrics["corpora"]["generated"] == []  # neither task reads a text from outside
    assert metrics["made"]["decoded"] == ["own"]
    assert (metrics["made"]["dtype"], metrics["made"]["device"]) == (["float32"], ["cpu"])
    assert metrics["made"]["versions"]["transformers"]
    rows = list(read_jsonl(Path("first/samples/fwe-900.jsonl")))
    assert [row["id"] for row in rows] == ["fwe-900-0000", "fwe-900-0001"]
    for row in rows:
        assert {"score", "seconds", "prompt_tokens", "output_tokens", "needle_position"} <= set(row)
        assert row["prompt_tokens"] + 50 <= 900
    monkeypatch.setattr(pool, "_compute", None)  # a call would raise
    code, again = call(capsys, *asked, "--out", "second", "--against", "first")
    assert code == 0, again
    assert Path("second/metrics.json").read_bytes() == Path("first/metrics.json").read_bytes()
    assert again.count("+0.0  cannot tell") == 6  # four cells and two means, none of ten samples
    assert call(capsys, *asked, "--seed", 1)[0] == 1


@pytest.mark.ray
def test_longbench_from_a_folder(capsys, runs: Path, ray_session, tmp_path: Path) -> None:
    torch.manual_seed(1)
    config = GPT2Config(n_embd=32, n_layer=1, n_head=2, n_positions=600, **SHAPE)
    model = save(tmp_path / "gpt2", GPT2LMHeadModel(config))
    data = tmp_path / "data"
    data.mkdir()
    for task, words in (("hotpotqa", 3000), ("multifieldqa_zh", 9000)):
        row = {"input": "Who?", "context": "Ada was here. " * 90, "answers": ["Ada"]}
        row |= {"length": words, "all_classes": None, "language": "en", "_id": "0"}
        (data / f"{task}.jsonl").write_text(json.dumps(row) + "\n")
    asked = (model, "--suite", "longbench", "--data", data, "--out", "out")
    code, text = call(capsys, *asked)
    assert code == 0, text
    assert "2 prompts cut" in text
    metrics = json.loads(Path("out/metrics.json").read_text())
    assert set(metrics["cells"]["multifieldqa_zh"]) == {"600"}


def test_nlgraph_from_its_own_folder(
    capsys, llama: Path, runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole way but for Ray: samples, an actor's work in this process, records, the table."""

    monkeypatch.setattr(pool, "_compute", in_this_process)
    data = write_nlgraph(runs / "NLGraph", nlgraph.LEVELS)
    asked = (llama, "--suite", "nlgraph", "--data", data, "--tasks", "cycle,flow", "--out", "out")
    code, text = call(capsys, *asked)
    assert code == 0, text
    assert "\nnlgraph (nvidia), score" in text
    metrics = json.loads(Path("out/metrics.json").read_text())
    tasks = {"cycle_easy", "cycle_medium", "cycle_hard", "flow_easy", "flow_hard"}
    assert set(metrics["cells"]) == tasks
    assert metrics["cells"]["cycle_easy"][str(WINDOW)]["shortcut"] == 50.0
    (row,) = read_jsonl(Path(f"out/samples/flow_hard-{WINDOW}.jsonl"))
    assert row["output_tokens"] <= 400
    assert row["score"] in (0.0, 1.0)


@pytest.mark.parametrize("suite", ["ruler", "longbench", "nlgraph"])
def test_another_budget_and_several_ends(
    capsys, llama: Path, runs: Path, monkeypatch: pytest.MonkeyPatch, suite: str
) -> None:
    monkeypatch.setattr(pool, "_compute", in_this_process)
    llama = Path(shutil.copytree(llama, runs / "model"))
    (llama / "generation_config.json").write_text('{"eos_token_id": [0, 20, 30, 40]}')
    row = {"input": "Who?", "context": "Ada. " * 9, "answers": ["Ada"], "all_classes": None}
    Path("hotpotqa.jsonl").write_text(json.dumps(row) + "\n")
    more = {
        "ruler": ("--tasks", "fwe", "--num", 2),
        "longbench": ("--data", ".", "--tasks", "hotpotqa"),
        "nlgraph": ("--data", write_nlgraph(runs / "N", nlgraph.LEVELS), "--tasks", "cycle"),
    }[suite]
    asked = (llama, "--suite", suite, *more, "--full", "--new-tokens", 7, "--out", "out")
    Path("turn.txt").write_text("User: {task_template}\nAssistant:")
    asked = (*asked, "--template", "turn.txt")
    code, text = call(capsys, *asked)
    assert code == 0, text
    metrics = json.loads(Path("out/metrics.json").read_text())
    assert metrics["made"]["template"] == "turn.txt"
    assert (metrics["eos_ids"], metrics["new_tokens"]) == ([0, 20, 30, 40], 7)
    for file in Path("out/samples").glob("*.jsonl"):
        for row in read_jsonl(file):
            assert row["prompt_tokens"] + 7 <= WINDOW
            assert not {20, 30, 40} & set(row["output_ids"])
            assert row["output_tokens"] == 7 or row["ended_by_eos"]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--new-tokens", "0"), "--new-tokens is 0: give a whole number from 1 up"),
        (("--lengths", "512,2048"), f"the window of .* is {WINDOW} tokens; drop it, or extend"),
        (("--lengths", "512,x"), "--lengths is '512,x': give whole numbers"),
        (("--lengths", "9" * 5000), "--lengths is '999.*': give whole numbers"),
        (("--lengths", "\N{ARABIC-INDIC DIGIT ONE}28"), "--lengths is '.28': give whole numbers"),
        (("--tasks", "vtx"), "--tasks is 'vtx': unknown; known are niah_single_1"),
        (("--lengths", "128", "--tasks", "vt", "--num", "2"), "length 128 is too short for vt"),
        (("--suite", "longbench"), "--data is missing"),
        (("--suite", "longbench", "--data", "none"), "--data is 'none': none of LongBench's"),
        (("--suite", "nlgraph"), "--data is missing: give the folder of NLGraph's"),
        (("--suite", "nlgraph", "--data", "none"), "--data is 'none': no such folder"),
        (("--suite", "nlgraph", "--data", ".", "--tasks", "flew"), "--tasks is 'flew': unknown"),
        (("--suite", "nlgraph", "--data", "."), r"--data is '.': no connectivity/test.json in it"),
        (("--suite", "hybridqa"), "--data is missing: give the folder of HybridQA"),
        (("--suite", "hybridqa", "--data", "."), "--data is '.': no released_data/dev.json in it"),
        (("--suite", "general", "--lengths", "512"), "--lengths is not for --suite general"),
        (("--suite", "general", "--new-tokens", "5"), "--new-tokens is not for --suite general"),
        (("--suite", "general", "--template", "auto"), "--template is not for --suite general"),
        (("--suite", "general", "--protocol", "repo-paper"), "--protocol is not for --suite"),
        (("--suite", "general", "--tasks", "arc"), "--tasks is 'arc': unknown; known are arc_cha"),
        (("--suite", "general", "--engine", "static"), "--engine is not for --suite general"),
        (("--engine", "fast"), "invalid choice: 'fast'"),
        (("--num", "0"), "--num is 0"),
        (("--against", "nowhere"), "--against is 'nowhere': no metrics.json in it; give"),
        (("--seed", "-1"), "--seed is -1: give a whole number from 0 up"),
        (("--out", "taken"), "--out is 'taken': taken is no folder; give a folder"),
        (("--out", "taken/deep"), "--out is 'taken/deep': taken is no folder"),
        (("--suite", "general", "--out", "taken"), "--out is 'taken': taken is no folder"),
        (
            ("--data", "r", "--lengths", "256,512", "--tasks", "vt"),
            "r/vt.jsonl would be read at 256 and at 512 tokens, the same prompts; name one length",
        ),
        (("--data", "ids.jsonl", "--suite", "nlgraph"), "--suite is not for --data FILE.jsonl"),
        (
            ("--data", "ids.jsonl", "--endpoint", "https://a/v1"),
            "--endpoint is not for --data FILE",
        ),
        (("--data", "ids.jsonl", "--template", "auto"), "--template is not for --data FILE"),
        (
            ("--data", "ids.jsonl"),
            r"ids.jsonl: the id 999999 is none of the model's \d+ tokens; give",
        ),
        (("--data", "none.jsonl"), "--data is 'none.jsonl': no samples in it; give a file"),
    ],
)
def test_mistakes_are_one_line(capsys, llama: Path, runs: Path, more, message: str) -> None:
    import re

    Path("taken").touch()
    Path("none.jsonl").touch()
    Path("ids.jsonl").write_text('{"ids": [1, 999999]}\n')
    Path("r").mkdir()
    write_jsonl(Path("r/vt.jsonl"), [{"input": "a\nb", "outputs": ["a"]}])
    code, text = call(capsys, llama, *more)
    assert code == 2
    assert re.search(message, text)
    assert text.count("\n") == 1


def test_a_result_of_another_kind_is_not_compared(capsys, llama: Path, runs: Path) -> None:
    (runs / "out").mkdir()
    (runs / "out" / "metrics.json").write_text('{"suite": "perplexity"}')
    code, text = call(capsys, llama, "--against", "out")
    assert (code, text.count("\n")) == (2, 1) and "no cells of tasks" in text


def test_general_answers_must_fit_the_window(
    capsys, llama: Path, runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extras, "find_spec", lambda name: name)
    code, text = call(capsys, llama, "--suite", "general", "--tasks", "drop,mmlu_pro")
    assert code == 2
    assert "--tasks has mmlu_pro, whose answers take up to 2048 tokens, but the window" in text


@pytest.mark.parametrize(
    ("more", "package", "extra"),
    [
        (("--suite", "general"), "lm_eval", "general"),
    ],
)
def test_a_missing_extra_is_named(
    capsys, llama: Path, runs: Path, monkeypatch: pytest.MonkeyPatch, more, package: str, extra: str
) -> None:
    monkeypatch.setattr(extras, "find_spec", lambda name: None)
    expected = (
        f"needs {package}, which is not installed; pip install -e '.[{extra}]' in the checkout"
    )
    assert call(capsys, llama, *more) == (2, f"repo-pipeline: {' '.join(more)} {expected}\n")
    assert not (runs / "runs").exists()


def test_a_folder_that_is_no_model(capsys, runs: Path, tmp_path: Path, llama: Path) -> None:
    assert call(capsys, "./nowhere") == (2, "repo-pipeline: MODEL is './nowhere': no such folder\n")
    empty = tmp_path / "empty"
    empty.mkdir()
    code, text = call(capsys, empty)
    assert (code, "config.json: no such file" in text) == (2, True)
    for name in ("config.json", "model.safetensors", "tokenizer.json"):
        (empty / name).write_bytes((llama / name).read_bytes())
    settings = json.loads((empty / "config.json").read_text())
    del settings["eos_token_id"]
    (empty / "config.json").write_text(json.dumps(settings))
    code, text = call(capsys, empty)
    assert (code, "a tokenizer without eos" in text) == (2, True)
