"""Other people's benchmark files: the plan reads their first rows, as the stage will all of them."""

import json
from pathlib import Path
from typing import Any

import pytest

from stages.benchmarks import nlgraph
from tests.stages.checks.conftest import Check
from tests.stages.nlgraph_questions import write

ROW = {"index": 0, "input": "One is for b: 1.\nWhich?", "outputs": ["1"], "length": 40}
LINE = json.dumps(ROW)
TASKS = {
    "benchmarks.ruler.tasks": ["vt", "cwe"],
    "benchmarks.ruler.data": "ruler",
    "benchmarks.lengths": [256],
}
RULER: dict[str, tuple[str | bytes, str]] = {
    # content of vt.jsonl, and what the one line says of it
    "sound": (LINE, ""),
    "Windows": (b"\xef\xbb\xbf" + LINE.encode() + b"\r\n\r\n" + LINE.encode(), ""),
    "fields of others": (json.dumps({**ROW, "depth": 3, "answer_prefix": "It is"}), ""),
    "empty": ("\n \n", "no rows in it"),
    "text": ("One is for b", "line 1: not JSON"),
    "a list": (f"[{LINE}]", "line 1: not a JSON object"),
    "one number": (json.dumps({**ROW, "outputs": [7]}), "line 1: no list of texts 'outputs'"),
    "no answer": (json.dumps({**ROW, "outputs": []}), "line 1: 'outputs' is empty"),
    "no question": (json.dumps({"outputs": ["1"]}), "line 1: no text 'input'"),
    "a prefix of nothing": (json.dumps({**ROW, "answer_prefix": None}), "no text 'answer_prefix'"),
    "of another length": (
        json.dumps({**ROW, "input": "word " * 900}),
        "a prompt of 4,500 letters and 16 tokens of answer are more than 256; take the files",
    ),
    "the second row": (f"{LINE}\n\n{{", "line 3: not JSON"),
    "UTF-16": (LINE.encode("utf-16"), "not UTF-8 text"),
    "packed": (b"\x1f\x8b\x08\x00", "not UTF-8 text"),
    "deep": ("[" * 100_000, "line 1: not JSON"),
}


@pytest.mark.parametrize("name", RULER)
def test_ruler_s_own_rows(name: str, check: Check, tmp_path: Path) -> None:
    content, words = RULER[name]
    (tmp_path / "ruler").mkdir()
    (tmp_path / "ruler/cwe.jsonl").write_text(LINE)
    (tmp_path / "ruler/vt.jsonl").write_bytes(
        content if isinstance(content, bytes) else content.encode()
    )
    found = told(check(TASKS), "benchmarks.ruler.data")
    assert (words in found and "vt.jsonl" in found) if words else not found


@pytest.mark.parametrize("lengths", [[256], [256, 512]])
@pytest.mark.parametrize("folders", [[""], ["256/data", "512/data"], ["256/data", ""]])
def test_ruler_s_own_files_are_of_one_length(
    lengths: list[int], folders: list[str], check: Check, tmp_path: Path
) -> None:
    for folder in folders:
        (tmp_path / "ruler" / folder).mkdir(parents=True, exist_ok=True)
        for task in ("vt", "cwe"):
            (tmp_path / "ruler" / folder / f"{task}.jsonl").write_text(LINE)
    found = told(check({**TASKS, "benchmarks.lengths": lengths}), "benchmarks.ruler.data")
    twice = len(lengths) > len(folders)
    assert ("would be read at 256 and at 512 tokens" in found) if twice else not found


@pytest.mark.parametrize(
    ("rows", "samples", "words"),
    [
        (3, 3, ""),
        (
            3,
            4,
            "fewer rows than samples were asked for: vt-256 3 of 4, cwe-256 1 of 4; all are taken",
        ),
        (25, 30, "cwe-256 1 of 30; all"),  # vt's are not counted here: the stage says so
    ],
)
def test_fewer_rows_than_samples_are_told(
    rows: int, samples: int, words: str, check: Check, tmp_path: Path
) -> None:
    (tmp_path / "ruler").mkdir()
    (tmp_path / "ruler/vt.jsonl").write_text(f"{LINE}\n" * rows)
    (tmp_path / "ruler/cwe.jsonl").write_text(f"{LINE}\n" * (1 if words else rows))
    found = check({**TASKS, "benchmarks.ruler.samples": samples, "benchmarks.ruler.samples_of": {}})
    told = [one for one in found if one.field == "benchmarks.ruler.samples"]
    assert [one.level for one in told] == (["warn"] if words else [])
    assert all(words in one.line for one in told)


@pytest.mark.parametrize(("words", "fits"), [(1, False), (20, False), (9000, True)])
def test_prose_fills_the_longest_prompt(
    words: int, fits: bool, check: Check, tmp_path: Path
) -> None:
    (tmp_path / "essays.txt").write_text("Some words. " * words)
    field = "benchmarks.ruler.prose"
    found = told(check({field: "essays.txt"}), field)
    assert not found if fits else "fill no prompt of 1,024 tokens in niah_multikey_1" in found, (
        found
    )


@pytest.mark.parametrize(
    "place", ["a folder", "a link to itself", "a link to nothing", "gz", "upper case"]
)
def test_ruler_s_own_files(place: str, check: Check, tmp_path: Path) -> None:
    """What is no file of the task is named; nothing raises."""
    file = tmp_path / "ruler/vt.jsonl"
    file.parent.mkdir()
    (tmp_path / "ruler/cwe.jsonl").write_text(LINE)
    if place == "a folder":
        file.mkdir()
    elif place.startswith("a link"):
        file.symlink_to(file if place.endswith("itself") else tmp_path / "gone")
    else:
        (file.parent / ("vt.jsonl.gz" if place == "gz" else "VT.JSONL")).write_text(LINE)
    found = told(check(TASKS), "benchmarks.ruler.data")
    assert ("vt.jsonl.gz is compressed; unpack it" if place == "gz" else "neither vt/val") in found


@pytest.mark.parametrize("folder", ["RULER's data", "größe (v2)", "a/b/c", "linked"])
def test_ruler_s_folder_may_have_any_name(folder: str, check: Check, tmp_path: Path) -> None:
    there = tmp_path / ("real" if folder == "linked" else folder)
    for task in ("vt", "cwe"):
        (there / task).mkdir(parents=True)
        (there / task / "validation.jsonl").write_text(LINE)
    if folder == "linked":
        (tmp_path / folder).symlink_to(there)
    assert not told(check({**TASKS, "benchmarks.ruler.data": folder}), "benchmarks.ruler.data")


NLGRAPH: dict[str, tuple[dict[str, Any], str]] = {
    "sound": ({}, ""),
    "no graph": ({"question": "Is there a cycle?"}, "in it, as cycle has"),
    "no answer": ({"answer": 3}, "no text 'answer'"),
    "no level": ({"difficulty": "odd"}, "no question of difficulty 'easy'"),
}


@pytest.mark.parametrize("name", NLGRAPH)
def test_nlgraph_s_questions(name: str, check: Check, tmp_path: Path) -> None:
    changes, words = NLGRAPH[name]
    folder = write(tmp_path / "NLGraph", nlgraph.LEVELS)
    file = folder / "cycle/test.json"
    rows = {number: {**row, **changes} for number, row in json.loads(file.read_text()).items()}
    file.write_text(json.dumps(rows))
    found = told(check({"benchmarks.nlgraph": {"path": "NLGraph"}}), "benchmarks.nlgraph.path")
    assert words in found if words else not found


def told(findings: list[Any], field: str) -> str:
    """The one refusal of the field, or nothing."""
    lines = [one.line for one in findings if one.level == "refuse" and one.field == field]
    assert len(lines) <= 1
    return "".join(lines)
