"""LongBench-format files: official prompts, middle truncation, errors that name the place."""

import json
from pathlib import Path

import pytest

from stages.benchmarks import generated_set
from stages.benchmarks.cutting import fitted
from stages.benchmarks.longbench import Source, samples
from stages.benchmarks.params import LongBenchParams
from stages.common.encoder import Encoder
from stages.common.errors import UserError
from stages.evaluate.scorers import score

GENERATED = ("generated_qa", "generated_classes", "generated_retrieval")
ROW = {
    "input": "Who {x}?",
    "context": "Ada built the mill. {y}",
    "answers": ["Ada", "Ada Hill"],
    "all_classes": None,
    "length": 5,
    "_id": "0",
}


def source(folder: Path, task: str, *rows: dict, **params) -> Source:
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / f"{task}.jsonl").write_text(lines)
    return Source(LongBenchParams(tasks=(task,), path=str(folder), **params))


def test_official_prompt_limit_and_metric(tmp_path: Path, encoder: Encoder) -> None:
    (sample,) = samples(source(tmp_path, "hotpotqa", ROW), "hotpotqa", 512, encoder)
    assert sample["input"] == (
        "Answer the question based on the given passages. Only give me the answer and do not "
        "output any other words.\n\nThe following are given passages.\nAda built the mill. {y}\n\n"
        "Answer the question based on the given passages. Only give me the answer and do not "
        "output any other words.\n\nQuestion: Who {x}?\nAnswer:"
    )
    assert sample["max_new_tokens"] == 32
    assert sample["metric"] == "qa_f1"
    assert sample["shortcut"] is None
    assert not sample["truncated"]
    ((start, end),) = sample["query_span"]
    assert encoder.text(sample["prompt_ids"][start:end]).strip().startswith("Answer the question")
    assert end == len(sample["prompt_ids"])


def test_longbench_e_has_its_own_files(tmp_path: Path, encoder: Encoder) -> None:
    rows = list(samples(source(tmp_path, "hotpotqa_e", ROW), "hotpotqa_e", 512, encoder))
    plain = list(samples(source(tmp_path, "hotpotqa", ROW), "hotpotqa", 512, encoder))
    assert (rows[0]["task"], rows[0]["words"]) == ("hotpotqa_e", 5)
    assert rows[0]["prompt_ids"] == plain[0]["prompt_ids"]


PAPER = (
    "Write a high-quality answer for the given query using only the provided context information."
    "\n\n## Context\nAda built the mill. {y}\n\nQuery: "
)


@pytest.mark.parametrize(
    ("task", "prompt", "budget", "metric"),
    [
        ("musique", f"{PAPER}Who {{x}}?\nAnswer:", 32, "set_f1"),
        ("qmsum", f"{PAPER}Who {{x}}?\nAnswer:", 512, "rouge_l_words"),
        (
            "gov_report",
            f"{PAPER}Summarize the given context into a paragraph.\nAnswer:",
            512,
            "rouge_l_words",
        ),
        ("triviaqa", "Ada built the mill. {y}\nWho {x}?", 32, "set_f1"),
        ("trec", "Ada built the mill. {y}\nWho {x}?", 32, "normalised_substring"),
    ],
)
def test_the_papers_protocol(
    tmp_path: Path, encoder: Encoder, task: str, prompt: str, budget: int, metric: str
) -> None:
    paper = source(tmp_path, task, ROW | {"all_classes": ["Ada"]}, protocol="repo-paper")
    (sample,) = samples(paper, task, 1024, encoder)
    assert (sample["input"], sample["max_new_tokens"]) == (prompt, budget)
    assert (sample["metric"], sample["ends_at_newline"]) == (metric, True)


def test_first_line_is_scored_where_longbench_does_so(tmp_path: Path, encoder: Encoder) -> None:
    for task, first in (("triviaqa", True), ("trec", True), ("samsum", True), ("qmsum", False)):
        row = ROW | {"all_classes": ["Ada", "Bob"]}
        (sample,) = samples(source(tmp_path, task, row), task, 1200, encoder)
        assert sample["first_line"] is first


def test_the_middle_is_cut_and_the_question_kept(tmp_path: Path, encoder: Encoder) -> None:
    long = ROW | {"context": " ".join(f"word{i}" for i in range(400))}
    (sample,) = samples(source(tmp_path, "hotpotqa", long), "hotpotqa", 256, encoder)
    assert sample["truncated"]
    assert len(sample["prompt_ids"]) <= 256 - 32
    assert len(sample["prompt_ids"]) >= 256 - 32 - 8
    assert sample["input"].startswith("Answer the question based on the given passages.")
    assert sample["input"].endswith("Question: Who {x}?\nAnswer:")
    assert "word0 " in sample["input"]
    assert "word200 " not in sample["input"]
    whole = encoder.ids(next(samples(reopened(tmp_path), "hotpotqa", 4096, encoder))["input"])
    half = (256 - 32) // 2
    kept = encoder.text(whole[:half]) + encoder.text(whole[-half:])
    if len(encoder.ids(kept)) <= 256 - 32:
        assert sample["input"] == kept


def reopened(folder: Path) -> Source:
    return Source(LongBenchParams(tasks=("hotpotqa",), path=str(folder)))


@pytest.mark.parametrize("length", range(60, 90))
def test_no_length_is_passed(tmp_path: Path, encoder: Encoder, length: int) -> None:
    strange = ROW | {"context": "日本語のテキスト🙂 " * 60}
    (sample,) = samples(source(tmp_path, "hotpotqa", strange), "hotpotqa", length, encoder)
    assert len(sample["prompt_ids"]) + 32 <= length


def test_a_length_shorter_than_the_answer_is_refused(tmp_path: Path, encoder: Encoder) -> None:
    with pytest.raises(UserError, match="33 is too short for hotpotqa"):
        list(samples(source(tmp_path, "hotpotqa", ROW), "hotpotqa", 33, encoder))


def test_own_tasks_bring_their_format(tmp_path: Path, encoder: Encoder) -> None:
    style = {
        "prompt": "{context}|{input}",
        "max_new_tokens": 4,
        "metric": "count",
        "first_line": False,
    }
    (tmp_path / "tasks.json").write_text(json.dumps({"mine": style}))
    (sample,) = samples(source(tmp_path, "mine", ROW), "mine", 64, encoder)
    assert sample["input"] == "Ada built the mill. {y}|Who {x}?"


def test_samples_are_limited(tmp_path: Path, encoder: Encoder) -> None:
    limited = source(tmp_path, "hotpotqa", ROW, ROW, ROW, samples=2)
    assert len(list(samples(limited, "hotpotqa", 512, encoder))) == 2


def test_mistakes_are_named(tmp_path: Path, encoder: Encoder) -> None:
    with pytest.raises(UserError, match=r"longbench.tasks: 'hotpot' is unknown; known are 2wiki"):
        list(samples(source(tmp_path, "hotpot", ROW), "hotpot", 512, encoder))
    bad = {"input": "", "context": ""}
    with pytest.raises(UserError, match=r"hotpotqa.jsonl line 2: no list of texts 'answers'"):
        list(samples(source(tmp_path, "hotpotqa", ROW, bad), "hotpotqa", 512, encoder))
    for task, row, message in (
        ("hotpotqa", ROW | {"answers": []}, "line 2: no 'answers' in it"),
        ("hotpotqa", ROW | {"answers": [5]}, "line 2: no list of texts 'answers' in it"),
        ("hotpotqa", ROW | {"input": None}, "line 2: no text 'input' in it"),
        ("hotpotqa", [1], "line 2: not a JSON object"),
        ("trec", ROW, "line 1: no list of texts 'all_classes' in it"),
    ):
        with pytest.raises(UserError, match=message):
            list(samples(source(tmp_path, task, ROW, row), task, 512, encoder))
    for content, message in (
        (b"\xff\xfe\x00", "hotpotqa.jsonl: not UTF-8 text"),
        (b"\n\n", "hotpotqa.jsonl: no rows in it"),
        (b"[" * 100_000, r"hotpotqa.jsonl line 1: not JSON \(maximum recursion depth"),
    ):
        (tmp_path / "hotpotqa.jsonl").write_bytes(content)
        with pytest.raises(UserError, match=message):
            list(samples(reopened(tmp_path), "hotpotqa", 512, encoder))
    (tmp_path / "hotpotqa.jsonl").write_text(json.dumps(ROW) + "\n{oops\n")
    with pytest.raises(UserError, match=r"hotpotqa.jsonl line 2: not JSON"):
        list(samples(reopened(tmp_path), "hotpotqa", 512, encoder))
    with pytest.raises(UserError, match=r"longbench.path is 'nowhere': no such folder"):
        Source(LongBenchParams(tasks=(), path="nowhere"))


@pytest.mark.parametrize("task", GENERATED)
def test_the_generated_set_can_be_answered(encoder: Encoder, task: str) -> None:
    shipped = Source(LongBenchParams(tasks=GENERATED))
    rows = list(samples(shipped, task, 4096, encoder))
    assert len(rows) == generated_set.SAMPLES
    for row in rows:
        assert score(row, f" {row['outputs'][0]}\nQuestion:") == 1.0
        assert score(row, "") == 0.0
        assert row["outputs"][0] in row["input"]
        right = [c for c in row["candidates"] if score(row, c) == 1.0]
        assert row["shortcut"] == pytest.approx(len(right) / len(row["candidates"]), abs=1e-6)
    assert len({row["outputs"][0] for row in rows}) > 3


def test_the_shipped_files_are_what_their_maker_writes(tmp_path: Path) -> None:
    generated_set.write(tmp_path)
    shipped = Path(generated_set.__file__).parent / "data/generated"
    assert {f.name for f in shipped.iterdir()} == {f.name for f in tmp_path.iterdir()}
    for file in shipped.iterdir():
        assert file.read_bytes() == (tmp_path / file.name).read_bytes()


def test_a_room_that_no_cut_fits_is_refused(encoder: Encoder) -> None:
    # Half a character is decoded as a sign that takes more tokens than the half had.
    text = "日本語のテキスト" * 20
    with pytest.raises(UserError, match="lengths: 2 tokens of prompt are too few for a text of"):
        fitted(text, 2, encoder)
