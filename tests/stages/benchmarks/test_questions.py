"""``qa_1`` and ``qa_2``: both layouts of each collection, whole documents, RULER's text."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from stages.benchmarks import documents, ruler
from stages.common.errors import UserError

SQUAD = {
    "data": [
        {
            "paragraphs": [
                {
                    "context": f"Article {a}, part {p}: the colour is {colour}.",
                    "qas": [
                        {
                            "question": f"Which colour has part {p} of {a}?",
                            "is_impossible": False,
                            "answers": [{"text": colour}, {"text": f"a {colour} one"}],
                        },
                        {"question": "Why?", "is_impossible": True, "answers": []},
                    ],
                }
                for p, colour in enumerate(("red", "green", "blue"))
            ]
        }
        for a in range(20)
    ]
}
HOTPOT = [
    {
        "question": f"Who made thing {i}?",
        "answer": f"maker{i}",
        "context": [[f"Thing {i}", ["It was made", f" by maker{i}."]], [f"Other {i}", ["No."]]],
    }
    for i in range(40)
]
COLUMNS = [
    row
    | {
        "context": {
            "title": [title for title, _ in row["context"]],
            "sentences": [sentences for _, sentences in row["context"]],
        }
    }
    for row in HOTPOT
]


def put(folder: Path, content: Any, name: str = "set.json") -> str:
    (folder / name).write_text(json.dumps(content))
    return str(folder / name)


def rows(make_cell, task: str, length: int, count: int = 6, **sources: str) -> list[dict[str, Any]]:
    return list(ruler.samples(make_cell(task, length, samples=count, **sources)))


def test_squad_asks_among_its_own_article_first(tmp_path: Path, make_cell) -> None:
    found = rows(make_cell, "qa_1", 420, squad=put(tmp_path, SQUAD))
    pattern = re.compile(
        r"Answer the question based on the given documents\. Only give me the answer and do not "
        r"output any other words\.\n\nThe following are given documents\.\n\n(.*)\n\nAnswer the "
        r"question based on the given documents\. Only give me the answer and do not output any "
        r"other words\.\n\nQuestion: (.*)",
        re.DOTALL,
    )
    for index, row in enumerate(found):
        context, question = pattern.fullmatch(row["input"]).groups()
        assert row["answer_prefix"] == " Answer:"
        assert question == f"Which colour has part {index % 3} of {index // 3}?"
        colour = ("red", "green", "blue")[index % 3]
        assert row["outputs"] == [colour, f"a {colour} one"]
        texts = context.split("\n\n")
        assert [text.split("\n")[0] for text in texts] == [
            f"Document {i}:" for i in range(1, len(texts) + 1)
        ]
        for part in range(3):
            assert sum(f"Article {index // 3}, part {part}:" in text for text in texts) == 1
        assert len(texts) > 3
        assert len(row["prompt_ids"]) + row["max_new_tokens"] <= 420
        assert row["metric"] == "string_match_part"
        assert row["shortcut"] is None


@pytest.mark.parametrize("layout", [HOTPOT, COLUMNS])
def test_hotpotqa_in_both_layouts(tmp_path: Path, make_cell, layout) -> None:
    found = rows(make_cell, "qa_2", 512, hotpotqa=put(tmp_path, layout))
    for index, row in enumerate(found):
        assert f"\nThing {index}\nIt was made by maker{index}.\n" in row["input"]
        assert f"\nOther {index}\nNo." in row["input"]
        assert row["outputs"] == [f"maker{index}"]
    assert len({row["input"] for row in found}) == len(found)


def test_layouts_and_lines_give_the_same_collection(tmp_path: Path) -> None:
    lines = tmp_path / "set.jsonl"
    lines.write_text("".join(json.dumps(row) + "\n" for row in HOTPOT))
    one, two = (
        documents.load("hotpotqa", put(tmp_path, COLUMNS)),
        documents.load("hotpotqa", str(lines)),
    )
    assert (one.questions, one.texts) == (two.questions, two.texts)


def test_the_papers_protocol(tmp_path: Path, make_cell) -> None:
    (row,) = rows(make_cell, "qa_2", 512, 1, hotpotqa=put(tmp_path, HOTPOT), protocol="repo-paper")
    assert row["answer_prefix"] == "\nAnswer:"
    assert row["metric"] == "normalised_substring"


@pytest.mark.parametrize(
    ("changed", "length", "message"),
    [
        ({"samples": 41}, 512, "samples is 41, but hotpotqa .* has 40 questions for qa_2"),
        ({}, 4096, "4096 is too long for qa_2: hotpotqa has only 80 documents"),
        ({}, 64, "64 is too short for qa_2: its shortest prompt .* need about"),
    ],
)
def test_refusals(tmp_path: Path, make_cell, changed, length: int, message: str) -> None:
    cell = make_cell("qa_2", length, **{"hotpotqa": put(tmp_path, HOTPOT), **changed})
    with pytest.raises(UserError, match=message):
        list(ruler.samples(cell))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{}", r"squad is '.*set.json': not in squad's layout \(KeyError\('data'\)"),
        ('{"data": []}', "no answerable question"),
        ("{oops", "neither JSON nor JSONL"),
        ("[" * 100_000, "neither JSON nor JSONL"),
        (
            '{"data": [{"paragraphs": [{"context": "a", "qas": [{"question": 5, "answers": '
            '[{"text": "a"}]}]}]}]}',
            r"not in squad's layout \(TypeError\('a text, not 5'\)",
        ),
    ],
)
def test_other_files_are_refused(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "set.json").write_text(content)
    with pytest.raises(UserError, match=message):
        documents.load("squad", str(tmp_path / "set.json"))


def test_the_real_sets_are_read(shared: Path, make_cell) -> None:
    squad = shared / "data/squad_v2_cs224n_split/dev-v2.0.cs224n.json"
    hotpot = (
        shared / "data/hotpotqa_dev_distractor_subset/hotpot_dev_distractor_subset_hfformat.json"
    )
    assert len(documents.load("squad", str(squad)).questions) == 2910
    assert len(documents.load("hotpotqa", str(hotpot)).questions) == 100
    (row,) = rows(make_cell, "qa_1", 3000, 1, squad=str(squad))
    assert row["outputs"] == ["France"] * 4
    assert "Normandy" in row["input"]


def test_generated_questions_have_their_answer_in_the_context(make_cell) -> None:
    for task in ("qa_1", "qa_2"):
        found = rows(make_cell, task, 900, 40)
        for row in found:
            assert any(answer in row["input"] for answer in row["outputs"])
            assert row["needle_span"]
        assert len({row["outputs"][0] for row in found}) > 25
