"""LongBench v2's data.json as samples: prompt, cut, and how an answer is found and scored."""

import json
from pathlib import Path
from typing import Any

import pytest

from stages.benchmarks import longbench_v2
from stages.benchmarks.params import LongBenchV2Params
from stages.common.encoder import Encoder
from stages.common.errors import UserError
from stages.evaluate.scorers import chosen_letter, score


def row(number: int = 0, **changed: Any) -> dict[str, Any]:
    found = {
        "_id": f"id{number}", "domain": "Long", "sub_domain": "Short", "answer": "ABCD"[number % 4],
        "difficulty": ("easy", "hard")[number % 2], "length": ("short", "medium", "long")[number % 3],
        "question": f" Which {number}? ", "choice_A": "one ", "choice_B": " two", "choice_C": "3",
        "choice_D": "four", "context": f"\n Ada met {number} mills. " + "And more. " * 9,
    }  # fmt: skip
    return found | changed


def write(folder: Path, rows: list[Any]) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "data.json").write_text(json.dumps(rows))
    return folder


def params(path: Path, **changed: Any) -> LongBenchV2Params:
    return LongBenchV2Params.model_validate({"path": str(path), **changed})


def samples(path: Path, encoder: Encoder, length: int = 2000, **changed: Any) -> list[Any]:
    return list(longbench_v2.samples(params(path, **changed), "choices", length, encoder))


def test_the_official_prompt(tmp_path: Path, encoder: Encoder) -> None:
    rows = [row(0), row(1, context="a $Q$ and $C_B$ b", question="q $C_A$")]
    first, second = samples(write(tmp_path / "v2", rows), encoder)
    assert first["input"] == (
        "Please read the following text and answer the question below.\n\n<text>\nAda met 0 mills. "
        + ("And more. " * 9).strip()
        + "\n</text>\n\nWhat is the correct answer to this question: Which 0?\nChoices:\n(A) one"
        "\n(B) two\n(C) 3\n(D) four\n\nFormat your response as follows: "
        '"The correct answer is (insert answer here)".'
    )
    assert (
        "<text>\na q one and two b\n</text>" in second["input"]
    )  # as `replace` after `replace` does
    assert (first["outputs"], first["max_new_tokens"], first["shortcut"]) == (["A"], 128, 0.25)
    assert (first["groups"], second["groups"]) == (["easy", "short"], ["hard", "medium"])
    start, end = first["query_span"][0]
    assert encoder.text(first["prompt_ids"][start:end]).endswith('here)".')
    assert samples(tmp_path / "v2" / "data.json", encoder, samples=1) == [first]


def test_a_long_text_loses_its_middle(tmp_path: Path, encoder: Encoder) -> None:
    path = write(tmp_path / "v2", [row(0, context="word and word " * 800)])
    (found,) = samples(path, encoder, 3000, max_length=1000)
    whole = encoder.ids(longbench_v2.filled(row(0, context="word and word " * 800)))
    assert found["truncated"] and len(whole) > 1000
    assert found["input"] == encoder.text(whole[:500]) + encoder.text(whole[-500:])
    (fitted,) = samples(path, encoder, 700)
    assert fitted["truncated"] and len(fitted["prompt_ids"]) <= 700 - 128


@pytest.mark.parametrize(
    ("answer", "letter"),
    [
        ("The correct answer is (B).", "B"),
        ("**The correct answer is (C)**", "C"),
        ("The correct answer is **A**", "A"),
        ("The correct answer is D, not (A)", "D"),
        ("The correct answer is A; The correct answer is (B)", "B"),  # brackets first
        ("the correct answer is (B)", None),
        ("The correct answer is (E)", None),
        ("The correct answer is\n(B)", None),
        ("(B)", None),
        ("", None),
    ],
)
def test_the_letter_of_an_answer(answer: str, letter: str | None) -> None:
    assert chosen_letter(answer) == letter
    for right in "ABCD":
        sample = {"metric": "choice", "outputs": [right]}
        assert score(sample, f"\n {answer} ") == float(letter == right)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ({}, r"data\.json: no list of questions, as LongBench v2's data\.json is"),
        ([], "no list of questions"),
        (["x"], r"row 1: no text '_id' in it"),
        ([row(), {**row(), "context": None}], "row 2: no text 'context' in it"),
        ([row(answer="E")], "row 1: answer is 'E'; known are A, B, C, D"),
        ([row(answer="")], "row 1: answer is ''; known are A, B, C, D"),
        ([row(answer="AB")], "row 1: answer is 'AB'; known are A, B, C, D"),
        ([row(context="a\ud800b")], "not JSON in UTF-8"),
        ([row(length="huge")], "row 1: length is 'huge'; known are short, medium, long"),
    ],
)
def test_what_is_no_question_is_named(rows: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        longbench_v2.rows(params(write(tmp_path / "v2", rows)))


def test_no_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"longbench_v2\.path is .*: no data\.json there"):
        longbench_v2.files(params(tmp_path))
