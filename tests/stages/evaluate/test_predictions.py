"""Files of predictions: the official scripts' scores, and mistakes named by file and line."""

import json
from pathlib import Path
from typing import Any

import pytest

from stages.common.errors import UserError
from stages.evaluate.prediction_files import found
from stages.evaluate.predictions import is_known, score_file
from tests.stages.nlgraph_questions import QUESTIONS

OFFICIAL = Path(__file__).parent / "official"
EXPECTED = json.loads((OFFICIAL / "scores.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    lines = (OFFICIAL / "predictions.jsonl").read_text(encoding="utf-8").split("\n")
    return [json.loads(line) for line in lines if line]


def write(folder: Path, *rows: Any, text: str = "") -> Path:
    file = folder / "predictions.jsonl"
    lines = [json.dumps(row, ensure_ascii=False) for row in rows]
    file.write_text("\n".join([*lines, text]), encoding="utf-8")
    return file


@pytest.mark.parametrize("task", EXPECTED)
def test_official_scores_are_reproduced(tmp_path: Path, rows, task: str) -> None:
    file = write(tmp_path, *(row for row in rows if row["task"] == task))
    found = score_file(file, task)
    assert found.score == EXPECTED[task]["score"]
    assert 0 < found.score < 100
    if "buckets" in EXPECTED[task]:
        assert found.buckets == EXPECTED[task]["buckets"]


def test_longbench_e_names_are_known(tmp_path: Path, rows) -> None:
    file = write(tmp_path, *(row for row in rows if row["task"] == "qasper"))
    assert score_file(file, "qasper_e").score == EXPECTED["qasper"]["score"]


def test_an_empty_bucket_has_no_score(tmp_path: Path) -> None:
    row = {"pred": "Ada", "answers": ["Ada"], "all_classes": None, "length": 5000}
    found = score_file(write(tmp_path, row), "hotpotqa")
    assert found.buckets == {"0-4k": None, "4-8k": 100.0, "8k+": None}


def test_a_buckets_score_is_rounded_as_numpy_does(tmp_path: Path) -> None:
    # 0.89 / 40: Python rounds 2.225 up (it is a little more), NumPy, and so LongBench-E, down.
    row = {"answers": ["abcde"], "all_classes": None, "length": 1}
    rows = [row | {"pred": "abcd"}] + [row | {"pred": "x"}] * 39
    found = score_file(write(tmp_path, *rows), "lcc")
    assert (found.score, found.buckets) == (2.23, {"0-4k": 2.22, "4-8k": None, "8k+": None})


def test_the_papers_protocol_compares_words(tmp_path: Path) -> None:
    file = write(tmp_path, {"outputs": ["The Eiffel-Tower"], "pred": "it is an eiffeltower, yes"})
    assert score_file(file, "qa_1", "repo-paper").score == 100.0
    assert score_file(file, "qa_1", "nvidia").score == 0.0


def test_the_papers_protocol_has_its_own_longbench_scores(tmp_path: Path) -> None:
    file = write(tmp_path, {"answers": ["red"], "pred": "red red", "all_classes": ["red", "re"]})
    found = {
        (task, protocol): score_file(file, task, protocol).score
        for task in ("hotpotqa", "qmsum", "trec")
        for protocol in ("nvidia", "repo-paper")
    }
    assert found == {
        ("hotpotqa", "nvidia"): 66.67,
        ("hotpotqa", "repo-paper"): 100.0,
        ("qmsum", "nvidia"): 100.0,  # a repeated word counts once in the package `rouge`
        ("qmsum", "repo-paper"): 66.67,
        ("trec", "nvidia"): 100.0,
        ("trec", "repo-paper"): 100.0,
    }


def test_rounding_is_to_two_decimals(tmp_path: Path) -> None:
    rows = [{"outputs": ["a"], "pred": "a"}] + [{"outputs": ["a"], "pred": ""}] * 2
    found = score_file(write(tmp_path, *rows), "vt")
    assert (found.score, found.n, found.empty) == (33.33, 3, 2)


def test_a_mark_and_other_line_ends_change_nothing(tmp_path: Path) -> None:
    file = tmp_path / "vt.jsonl"
    lines = (json.dumps({"outputs": ["a"], "pred": pred}) for pred in ("a", "", "\ud800 a"))
    file.write_bytes(b"\xef\xbb\xbf" + "\r\n\r\n".join(lines).encode())
    assert (score_file(file, "vt").score, score_file(file, "vt").n) == (66.67, 3)


def test_a_folder_holds_each_prediction_once(tmp_path: Path) -> None:
    """Editors' and zips' copies are none, and chunks beside their whole are the same rows."""
    copies = [".ipynb_checkpoints/vt.jsonl", "__MACOSX/vt.jsonl", "._vt.jsonl"]
    for name in ("vt.jsonl", "cwe.jsonl", "cwe-0.jsonl", "cwe-1.jsonl", *copies):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        write(tmp_path, GOOD).rename(tmp_path / name)
    (tmp_path / "fwe.jsonl").mkdir()
    sources, left_out = found(tmp_path, is_known)
    named = {source.name: [file.name for file in source.files] for source in sources}
    assert named == {"vt": ["vt.jsonl"], "cwe": ["cwe-0.jsonl", "cwe-1.jsonl"]}
    assert len(left_out) == len(copies)


def test_no_answers_score_nothing(tmp_path: Path) -> None:
    row = {"pred": "x", "answers": [], "all_classes": None}
    assert score_file(write(tmp_path, row), "hotpotqa").score == 0.0


GOOD = {"outputs": ["a"], "pred": "a"}


@pytest.mark.parametrize(
    ("task", "text", "message"),
    [
        ("vtx", json.dumps(GOOD), "--task is 'vtx': unknown; known are niah_single_1"),
        ("vt", "", r"predictions.jsonl: no predictions in it"),
        ("vt", json.dumps(GOOD) + "\n\n{oops", r"predictions.jsonl line 3: not JSON"),
        ("vt", json.dumps(GOOD) + "\n[1]", r"predictions.jsonl line 2: not a JSON object"),
        ("vt", '{"outputs": ["a"]}', r"line 1: no text 'pred'"),
        ("vt", '{"outputs": ["a"], "pred": null}', r"line 1: no text 'pred'"),
        ("vt", '{"pred": "a"}', r"line 1: no list of texts 'outputs'"),
        ("vt", '{"pred": "a", "outputs": "a"}', r"line 1: no list of texts 'outputs'"),
        ("vt", '{"pred": "a", "outputs": []}', r"line 1: 'outputs' is empty"),
        ("trec", '{"pred": "a", "answers": ["a"]}', r"line 1: no list of texts 'all_classes'"),
        (
            "trec",
            '{"pred": "a", "answers": ["a"], "all_classes": ["a", 1]}',
            r"line 1: no list of texts 'all_classes'",
        ),
        ("vt", "[" * 100_000, r"predictions.jsonl line 1: not JSON \(maximum recursion depth"),
        ("vt", '{"n": ' + "9" * 5000 + "}", r"predictions.jsonl line 1: not JSON \(Exceeds"),
        (None, '{"prediction": "a", "metric": "qa_f1"}', r"line 1: no text 'task'"),
        (None, '{"prediction": "a", "metric": 1, "task": "vt"}', r"line 1: no text 'metric'"),
        (None, '{"prediction": null, "metric": "qa_f1", "task": "vt"}', r"no text 'prediction'"),
        (None, '{"prediction": "a", "metric": "x", "task": "vt", "outputs": ["a"]}', r"'x' cannot"),
        (
            None,
            '{"prediction": "a", "metric": "string_match_all", "task": "vt", "outputs": []}',
            r"line 1: no whole record of ours: 'string_match_all' cannot be computed",
        ),
        (
            None,
            "\n".join(
                json.dumps({"prediction": "a", "metric": "qa_f1", "task": "vt", "length": length})
                for length in (64, 128)
            ),
            "records of lengths 128, 64",
        ),
        ("passage_retrieval_en", '{"pred": "3", "answers": ["3"]}', r"line 1: the answer '3' is"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, task: str, text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        score_file(write(tmp_path, text=text), task)
    with pytest.raises(UserError, match=r"nowhere.jsonl: No such file"):
        score_file(tmp_path / "nowhere.jsonl", "vt")


def test_nlgraph_and_hybridqa_are_scored(tmp_path: Path) -> None:
    question, answer = QUESTIONS["hamilton"]
    row = {"question": question, "outputs": [answer], "pred": "The path can be: 1,0,2,3."}
    assert score_file(write(tmp_path, row, row | {"pred": ""}), "hamilton_easy").score == 50.0
    assert score_file(write(tmp_path, row), "hamilton", "repo-paper").score == 0.0
    table = {"outputs": ["the New Mill"], "pred": "\nnew mill\nQuestion:"}
    assert score_file(write(tmp_path, table), "tables").score == 100.0
    assert score_file(write(tmp_path, table), "tables", "repo-paper").score == 100.0
    del row["question"]
    with pytest.raises(UserError, match="line 1: NLGraph needs 'question' and one output"):
        score_file(write(tmp_path, row), "hamilton")
