"""RULER's own files: where they are found, and what a row becomes."""

import json
from pathlib import Path

import pytest

from stages.benchmarks import ruler, ruler_files
from stages.benchmarks.cutting import fitted
from stages.common.encoder import Encoder
from stages.common.errors import UserError
from tests.stages.benchmarks.conftest import MakeCell

ROW = {
    "index": 3,
    "input": "Some numbers.\nOne is for b: 1234.\nWhat is the number for b?",
    "outputs": ["1234"],
    "length": 40,
    "answer_prefix": " The number for b is",
}


def write(file: Path, *rows: dict) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


@pytest.mark.parametrize(
    "place",
    [
        "vt/validation.jsonl",
        "vt/test.jsonl",
        "vt.jsonl",
        "64/data/vt/validation.jsonl",
        "64/vt.jsonl",
    ],
)
def test_the_places_of_a_task(tmp_path: Path, place: str) -> None:
    file = write(tmp_path / place, ROW)
    assert ruler_files.find(tmp_path, "vt", 64) == file
    assert ruler_files.find(tmp_path, "cwe", 64) is None
    assert ruler_files.longest(file) == 40


@pytest.mark.parametrize("kind", ["today's", "without prefix", "of one output"])
def test_a_row_is_read_as_it_is(tmp_path: Path, make_cell: MakeCell, kind: str) -> None:
    row = dict(ROW)
    whole = row["input"] + row["answer_prefix"]
    if kind == "without prefix":
        row |= {"input": whole}
        del row["answer_prefix"]
    if kind == "of one output":
        row["output"] = row.pop("outputs")[0]
    write(tmp_path / "niah_single_1.jsonl", row, row)
    cell = make_cell("niah_single_1", 200, data=str(tmp_path), samples=1)
    (sample,) = ruler.samples(cell)
    encoder = cell.encoder
    assert encoder.text(sample["prompt_ids"]) == whole
    assert sample["outputs"] == ["1234"]
    ((start, end),) = sample["needle_span"]
    assert "1234" in encoder.text(sample["prompt_ids"][start:end])
    ((start, end),) = sample["query_span"]
    assert "What is the number for b?" in encoder.text(sample["prompt_ids"][start:end])


def test_the_paper_s_protocol_joins_the_prefix_its_way(tmp_path: Path, make_cell: MakeCell) -> None:
    write(tmp_path / "qa_1.jsonl", ROW)
    cell = make_cell("qa_1", 200, data=str(tmp_path), samples=1, protocol="repo-paper")
    (sample,) = ruler.samples(cell)
    assert cell.encoder.text(sample["prompt_ids"]).endswith("for b?\nThe number for b is")
    assert sample["metric"] == "normalised_substring"


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"outputs": ["a"]}, "line 1: no text 'input'"),
        (ROW | {"outputs": []}, "line 1: 'outputs' is empty"),
        (ROW | {"outputs": "a"}, "line 1: no list of texts 'outputs'"),
        (ROW | {"answer_prefix": None}, "line 1: no text 'answer_prefix'"),
        (ROW | {"input": "a " * 400}, "line 1: .* are more than 200"),
    ],
)
def test_bad_rows_are_named(tmp_path: Path, make_cell: MakeCell, row, message: str) -> None:
    write(tmp_path / "vt.jsonl", row)
    with pytest.raises(UserError, match=message):
        list(ruler.samples(make_cell("vt", 200, data=str(tmp_path), samples=1)))


def test_files_with_fewer_rows_are_one_line() -> None:
    asked = dict.fromkeys("abcdefg", 5)
    assert ruler_files.fewer({"a": 5, "b": 9}, asked) is None
    told = ruler_files.fewer(dict.fromkeys("abcde", 1), asked)
    assert told and "a 1 of 5, b 1 of 5, c 1 of 5, … 5 files; all are taken" in told


@pytest.mark.parametrize(("most", "words"), [(16, 40), (17, 40), (16, 16), (16, 17)])
def test_longbench_s_max_length_keeps_its_halves(encoder: Encoder, most: int, words: int) -> None:
    """As in ``pred.py``: the halves joined as text, even where the joint has more tokens."""
    text = "".join(f" {i % 10}x" for i in range(words))
    ids = encoder.ids(text)
    found, kept, cut = fitted(text, 900, encoder, most)
    assert cut == (len(ids) > most)
    if cut:
        half = int(most / 2)
        assert found == encoder.text(ids[:half]) + encoder.text(ids[-half:])
    assert kept == encoder.ids(found)
