"""`examples/controls.py`: what each control changes, and that the files it writes are RULER's."""

import json
import runpy
import subprocess
import sys
from pathlib import Path
from random import Random
from typing import Any

import pytest

from stages.common.errors import UserError
from tests.stages.bytes_tokenizer import save_tokenizer

SCRIPT = Path(__file__).parents[2] / "examples" / "controls.py"
KEYS, VALUES = ("old-tree", "old-tree-top", "red-fox"), ("1234", "5678", "9012")
HAY = "Nobody in the pardon had seen it."


def row() -> dict[str, Any]:
    needles = [
        f"One of the special magic numbers for {key} is: {value}."
        for key, value in zip(KEYS, VALUES, strict=True)
    ]
    context = " ".join([HAY, needles[0], HAY, HAY, needles[1], needles[2], "It ends in the"])
    return {
        "id": "niah_multikey_1-512-0000", "index": 0, "task": "niah_multikey_1", "length": 512,
        "input": f"Memorize it.\n{context}\nWhat is the special magic number for old-tree?",
        "answer_prefix": " The special magic number for old-tree is", "outputs": ["1234"],
        "candidates": list(VALUES), "prompt_ids": [0] * 70,
    }  # fmt: skip


@pytest.fixture(scope="module")
def controls() -> dict[str, Any]:
    return runpy.run_path(str(SCRIPT))


def words(text: str) -> int:
    return len(text.split())


def test_values_change_their_keys_and_a_guess_stays_one_in_three(controls: dict[str, Any]) -> None:
    stays = []
    for seed in range(300):
        moved = controls["values_moved"](row(), Random(seed))
        found = list(controls["NEEDLE"].finditer(moved["input"]))
        assert [one["key"] for one in found] == list(KEYS)
        assert sorted(one["value"] for one in found) == sorted(VALUES)
        assert {**moved, "input": row()["input"]} == row()
        stays.append(found[0]["value"] == "1234")
    assert 80 <= sum(stays) <= 120


def test_a_key_is_new_wherever_it_stands(controls: dict[str, Any]) -> None:
    changed = controls["invented_keys"](row(), Random(1))
    assert not any(f" {key} " in changed["input"] + changed["answer_prefix"] for key in KEYS)
    found = list(controls["NEEDLE"].finditer(changed["input"]))
    assert [one["value"] for one in found] == list(VALUES)
    assert [len(one["key"]) for one in found] == [len(key) for key in KEYS]
    assert f"number for {found[0]['key']}?" in changed["input"]  # not that of old-tree-top
    assert changed["answer_prefix"] == f" The special magic number for {found[0]['key']} is"


@pytest.mark.parametrize("control", ["another wording", "value first"])
def test_another_sentence_states_the_same(controls: dict[str, Any], control: str) -> None:
    changed = controls["CONTROLS"][control](row(), Random(1))["input"]
    assert "One of the special magic" not in changed
    for key, value in zip(KEYS, VALUES, strict=True):
        assert controls["WORDINGS"][control].format(key=key, value=value) in changed


def test_haystack_gives_way_and_needles_stay(controls: dict[str, Any]) -> None:
    whole = words(row()["input"] + row()["answer_prefix"])
    fitted = controls["fitted"](row(), whole - 8, words, Random(0))
    assert whole - 20 < words(fitted["input"] + fitted["answer_prefix"]) <= whole - 8
    assert all(value in fitted["input"] for value in VALUES)
    assert controls["fitted"](row(), whole, words, Random(0)) == row()
    with pytest.raises(UserError, match="the needles alone have more than 5 tokens"):
        controls["fitted"](row(), 5, words, Random(0))


def test_the_files_are_ruler_s(controls: dict[str, Any], tmp_path: Path) -> None:
    from stages.benchmarks.ruler_files import find

    for control in controls["CONTROLS"]:
        controls["write"](controls["changed"](control, [row()], 42, words), tmp_path, control)
        file = find(controls["folder"](tmp_path, control), "niah_multikey_1", 512)
        assert file is not None
        (line,) = file.read_text().splitlines()
        assert set(json.loads(line)) == {"index", "input", "outputs", "answer_prefix"}
        assert [one.name for one in file.parent.iterdir()] == [file.name]


MISTAKES: dict[str, tuple[str | None, list[str], str]] = {
    "no samples": (None, ["models/base"], "no such file; `repo-pipeline run benchmarks` makes it"),
    "an empty file": ("", ["models/base"], "no task of several needles"),
    "another task": ('{"input": "x"}\n', ["models/base"], "no task of several needles"),
    "no JSON": ("{\n", ["models/base"], "line 1: not JSON"),
    "one name twice": (json.dumps(row()), ["a/base", "b/base"], "two folders of one name"),
    "no model": (
        json.dumps({**row(), "prompt_ids": [0] * 2000}),
        ["models/base"],
        "models/base: no such folder",
    ),
    "too short": (
        json.dumps({**row(), "prompt_ids": [0] * 3}),
        ["models/base"],
        "the needles alone have more than 3 tokens (as it is); take another --task or --length",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_one_line_before_anything_is_written(tmp_path: Path, name: str) -> None:
    content, models, said = MISTAKES[name]
    source = tmp_path / "data" / "benchmarks" / "ruler" / "niah_multikey_1-512.jsonl"
    if content is not None:
        source.parent.mkdir(parents=True)
        source.write_text(content)
    (tmp_path / "data" / "tokenizer").mkdir(parents=True)
    save_tokenizer(tmp_path / "data" / "tokenizer")
    done = subprocess.run(
        [sys.executable, str(SCRIPT), *models, "--out", "out"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    (line,) = done.stderr.splitlines()
    assert (done.returncode, done.stdout) == (2, "") and said in line, line
    assert not (tmp_path / "out").exists()
