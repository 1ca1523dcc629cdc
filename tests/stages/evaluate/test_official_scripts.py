"""Our scores against the official scripts themselves, run on 10,000 adversarial rows.

Needs ``OFFICIAL_SCRIPTS``: a folder with clones ``RULER`` (NVIDIA) and ``LongBench`` (THUDM),
and ``site`` with what of their imports is not installed (PyYAML, fuzzywuzzy).
What NVIDIA's script imports of nltk (a download) and of NeMo (reading JSONL) is
stood in for; nothing of the scoring is.
The committed sample of all this is test_predictions.py.
"""

import ast
import csv
import json
import os
import random
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from stages.benchmarks import longbench, official
from stages.evaluate.scorers import chosen_letter
from tests.stages.evaluate.asked import scored

OFFICIAL = Path(os.environ.get("OFFICIAL_SCRIPTS", "nowhere"))
pytestmark = [
    pytest.mark.stress,
    pytest.mark.skipif(not OFFICIAL.is_dir(), reason="OFFICIAL_SCRIPTS names no folder of clones"),
]
ROWS = 213  # by 13 + 21 + 13 tasks: 10,011
PIECES = (
    *"aZ0 9.,;:!?`#/\\\"'()[]{}<>|-_é߶中段落３７İıſ\u00a0\u200b\u2028\x00\x01\t\n\r\x1f\x7f",
    "\n\n", "  ", "the ", "a ", "an ", "The answer is ", "Paragraph ", "Paragraph 3", "段落7",
    "//", "# x", "`", "12", "3", "37", "word", "Word", "words", "北京", "大学", "。", "，", "i̇",
    "def f(x):", "return x", "ENTI", "Entity", "Other entity", "Other", "🙂", "null",
)  # fmt: skip
CLASSES = ["Other", "Other entity", "Entity", "entity", "Date", "Dat", "北京", "北京大学"]


class Rows:
    """Rows whose predictions hold answers, parts of them, and what trips scorers."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)

    def text(self, most: int) -> str:
        return "".join(self.rng.choices(PIECES, k=self.rng.randint(0, most)))

    def near(self, answers: list[str]) -> str:
        """An answer as it is, in another case, cut, doubled, or no answer."""
        answer = self.rng.choice(answers)
        changed = [
            answer,
            answer.upper(),
            answer.lower(),
            answer[1:],
            answer * 2,
            f" {answer} ",
            "",
        ]
        parts = [self.text(6), self.rng.choice(changed), self.text(6)]
        if self.rng.random() < 0.3:
            parts += self.rng.choices(answers, k=2)
        return "".join(parts)

    def ruler(self, index: int) -> dict[str, Any]:
        answers = [self.text(4) for _ in range(self.rng.randint(1, 5))]
        row = {"index": index, "input": "x", "outputs": answers, "pred": self.near(answers)}
        return row | {"others": {}, "truncation": -1, "length": -1}

    def longbench(self, task: str) -> dict[str, Any]:
        answers = [self.text(8) for _ in range(self.rng.randint(1, 3))]
        if longbench.metrics()[task] == "classification":
            answers = [self.rng.choice(CLASSES)]
        if longbench.metrics()[task] == "retrieval":
            zh = task.endswith("zh")
            answers = [f"{'段落' if zh else 'Paragraph '}{self.rng.randint(1, 40)}"]
        if longbench.metrics()[task] == "count":
            answers = [f"{self.rng.randint(0, 40)}"]
        row = {"pred": self.near(answers), "answers": answers, "all_classes": CLASSES}
        return row | {"length": self.rng.choice([0, 3999, 4000, 7999, 8000, 20000])}


def _write(file: Path, rows: list[dict[str, Any]]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def _run(script: Path, *arguments: str, cwd: Path, site: Path) -> None:
    path = os.pathsep.join([str(site), str(OFFICIAL / "site")])
    environment = {**os.environ, "PYTHONPATH": path, "PYTHONUTF8": "1"}
    command = [sys.executable, str(script), *arguments]
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]


def test_ruler(tmp_path: Path, capsys) -> None:
    rows = Rows(1)
    for task in official.TASKS:
        found = [rows.ruler(index) for index in range(ROWS)]
        cut = ROWS if task != "vt" else 100
        _write(
            tmp_path / "pred" / (f"{task}-0.jsonl" if cut < ROWS else f"{task}.jsonl"), found[:cut]
        )
        if cut < ROWS:  # as several machines leave it
            _write(tmp_path / "pred" / f"{task}-1.jsonl", found[cut:])
    code, text = scored(capsys, tmp_path / "pred", "--json")
    assert code == 0, text
    ours = {row["task"]: (row["score"], row["n"]) for row in json.loads(text)}
    site = tmp_path / "site"
    (site / "nltk").mkdir(parents=True)
    (site / "nltk/__init__.py").write_text(
        "class data:\n    find = staticmethod(lambda name: name)\n"
    )
    nemo = site / "nemo/collections/asr/parts/utils"
    nemo.mkdir(parents=True)
    (nemo / "manifest_utils.py").write_text(
        "import json\n"
        "def read_manifest(file):\n"
        "    with open(file, encoding='utf-8') as f:\n"
        "        return [json.loads(line) for line in f]\n"
        "def write_manifest(file, rows):\n"
        "    with open(file, 'w', encoding='utf-8') as f:\n"
        "        f.writelines(json.dumps(row) + '\\n' for row in rows)\n"
    )
    script = OFFICIAL / "RULER/scripts/eval/evaluate.py"
    _run(script, "--data_dir", str(tmp_path / "pred"), cwd=tmp_path, site=site)
    with (tmp_path / "pred/summary.csv").open() as file:
        table = {row[0]: row[1:] for row in list(csv.reader(file))[1:]}
    theirs = dict(zip(table["Tasks"], map(float, table["Score"]), strict=True))
    assert ours == {task: (score, ROWS) for task, score in theirs.items()}
    assert len(ours) == 13
    assert all(5 < score < 95 for score, _ in ours.values())


@pytest.mark.parametrize("part", ["pred", "pred_e"])
def test_longbench(tmp_path: Path, capsys, part: str) -> None:
    rows = Rows(2)
    tasks = longbench.metrics() if part == "pred" else [t[:-2] for t in longbench.TASKS_E]
    for task in tasks:
        _write(
            tmp_path / part / "model" / f"{task}.jsonl", [rows.longbench(task) for _ in range(ROWS)]
        )
    script = OFFICIAL / "LongBench/LongBench/eval.py"
    _run(
        script,
        "--model",
        "model",
        *(["--e"] if part == "pred_e" else []),
        cwd=tmp_path,
        site=tmp_path,
    )
    theirs = json.loads((tmp_path / part / "model/result.json").read_text())
    code, text = scored(capsys, tmp_path / part, "--json")
    assert code == 0, text
    found = json.loads(text)
    ours = {row["task"]: row["score" if part == "pred" else "buckets"] for row in found}
    assert ours == theirs
    assert len(ours) == (21 if part == "pred" else 13)


def test_longbench_v2(tmp_path: Path, capsys) -> None:
    """The letters that ``pred.py``'s own function finds, and what ``result.py`` makes of its file."""
    source = (OFFICIAL / "LongBench/pred.py").read_text(encoding="utf-8")
    found = [
        node for node in ast.parse(source).body if getattr(node, "name", "") == "extract_answer"
    ]
    official_pred: dict[str, Any] = {"re": re}
    exec(compile(ast.Module(found, []), "pred.py", "exec"), official_pred)
    rng, rows = random.Random(3), []
    words = ["The correct answer is ", "The correct answer is ("] * 5
    pieces = [*"ABCDE()*. \n", *words, "(A)", "the"]
    for number in range(3000):
        response = "".join(rng.choices(pieces, k=rng.randint(1, 6))).strip()
        row = {"response": response, "answer": rng.choice("ABCD"), "choice_A": "x"}
        row |= {"difficulty": rng.choice(["easy", "hard"])}
        row |= {"length": rng.choice(["short", "medium", "long"])}
        row["pred"] = official_pred["extract_answer"](response)
        assert chosen_letter(response) == row["pred"], response
        rows.append(row | {"judge": row["pred"] == row["answer"], "_id": str(number)})
    assert sum(row["judge"] for row in rows) > 50
    _write(tmp_path / "results" / "model.jsonl", rows)
    _run(OFFICIAL / "LongBench/result.py", cwd=tmp_path, site=tmp_path)
    head, line = (tmp_path / "result.txt").read_text().splitlines()
    theirs = dict(zip(head.lower().split("\t"), line.split("\t"), strict=True))
    code, text = scored(capsys, tmp_path / "results" / "model.jsonl", "--json")
    assert code == 0, text
    ours = json.loads(text)
    assert {"overall": ours["score"], **ours["buckets"]} == {
        name: float(value) for name, value in theirs.items() if name != "model"
    }
