"""LongBench v2 through a model: records, the official file, its scores, and what is refused."""

import json
import random
from pathlib import Path
from typing import Any

import pytest

from stages.common.files import read_jsonl
from stages.evaluate import pool
from tests.stages.benchmarks.test_longbench_v2 import row, write
from tests.stages.evaluate.asked import call, scored, tiny_llama
from tests.stages.evaluate.without_ray import in_this_process


def test_a_model_from_data_json_to_the_official_file_and_back(
    tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REPO_RUNS", str(tmp_path / "runs"))
    monkeypatch.setattr(pool, "_compute", in_this_process)
    model = tiny_llama(tmp_path / "llama")
    data = write(tmp_path / "v2", [row(number) for number in range(6)])
    asked = (model, "--suite", "longbench_v2", "--data", data, "--new-tokens", 4, "--out", "out")
    code, text = call(capsys, *asked)
    assert code == 0, text
    assert "choices by difficulty and size: easy 0.00, hard 0.00, short 0.00, medium 0.00" in text
    file = Path("out/longbench_v2/llama.jsonl")
    rows = list(read_jsonl(file))
    assert [{k: r[k] for k in row()} for r in rows] == [row(n) for n in range(6)]
    assert all((r["pred"], r["judge"]) == (None, False) for r in rows)
    # The same file with answers: what `result.py` would give.
    rng = random.Random(1)
    for found in rows:
        found["response"] = f"The correct answer is ({rng.choice('ABCD')})"
    file.write_text("".join(json.dumps(found) + "\n" for found in rows))
    code, text = scored(capsys, file, "--json")
    assert code == 0, text
    result = json.loads(text)
    right = [found["response"][-2] == found["answer"] for found in rows]
    assert 0 < sum(right) < 6
    assert result["score"] == round(100 * sum(right) / 6, 1)
    groups = [(found["difficulty"], found["length"]) for found in rows]
    for name in ("easy", "hard", "short", "medium", "long"):
        inside = [ok for ok, group in zip(right, groups, strict=True) if name in group]
        assert result["buckets"][name] == round(100 * sum(inside) / len(inside), 1)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ((), "--data is missing: give the folder of LongBench v2's data.json"),
        (("--data", "."), "--data is '.': no data.json there"),
        (
            ("--data", ".", "--protocol", "repo-paper"),
            "--protocol is 'repo-paper', which has no rules",
        ),
        (("--data", ".", "--tasks", "vt"), "--tasks is 'vt': unknown; known are choices"),
    ],
)
def test_mistakes_are_one_line(
    more: tuple[str, ...],
    message: str,
    tmp_path: Path,
    capsys: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REPO_RUNS", str(tmp_path / "runs"))
    code, text = call(capsys, tiny_llama(tmp_path / "llama"), "--suite", "longbench_v2", *more)
    assert (code, text.count("\n")) == (2, 1) and message in text
