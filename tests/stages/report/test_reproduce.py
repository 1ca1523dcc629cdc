"""``repo-pipeline reproduce``: a stand-in in the official format, to the row and its verdict."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

import repo_model
from stages.common.files import read_json, write_json
from stages.evaluate import pool
from stages.report import reproduce
from stages.report.paper import TABLE_1
from tests.stages.bytes_tokenizer import save_tokenizer
from tests.stages.evaluate.without_ray import in_this_process

LENGTH = 900
PE = {
    "dynamic_pe_mode": "swigluex_multihead",
    "dynmaic_pe_start_layer": 1,
    "dynmaic_pe_layer_ids": "",
}


def official(folder: Path) -> Path:
    """A random checkpoint as the official code saves one (PAPER.md section 6), reading bytes."""
    config = repo_model.RepoOlmo2Config(
        positions=["rope", "repo"],
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        vocab_size=300,
        max_position_embeddings=LENGTH,
        eos_token_id=0,
        pad_token_id=1,
    )
    torch.manual_seed(0)
    repo_model.RepoOlmo2ForCausalLM(config).save_pretrained(folder)
    stored = read_json(folder / "config.json")
    kept = {k: v for k, v in stored.items() if k not in ("auto_map", "positions")}
    stock = {"architectures": ["Olmo2ForCausalLM"], "model_type": "olmo2", "rope_theta": 1e4}
    write_json(folder / "config.json", {**kept, **stock, "pe_config": PE})
    save_tokenizer(folder)
    return folder


def test_a_stand_in_goes_to_its_row_and_verdict(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REPO_RUNS", str(tmp_path / "runs"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(pool, "_compute", in_this_process)
    model = official(tmp_path / "model")
    assert repo_model.load(model).config.positions == ["rope", "repo"]
    with pytest.raises(SystemExit) as end:
        reproduce.main([str(model), "--length", str(LENGTH), "--num", "2", "--out", "row"])
    shown = capsys.readouterr()
    assert end.value.code == 0, shown
    found = json.loads(Path("row/reproduced.json").read_text())
    assert [one["column"] for one in found["columns"]] == list(TABLE_1.columns)
    assert [one["paper"] for one in found["columns"]] == list(TABLE_1.rows["1B RePo"])
    cells = json.loads(Path("row/metrics.json").read_text())["cells"]
    assert found["columns"][1]["ours"] == cells["niah_multivalue"][str(LENGTH)]["score"]
    assert not found["agrees"]
    assert "The average differs from the paper's: -" in shown.out
    assert f"Measured at {LENGTH} tokens, the paper at 4096: no reproduction." in shown.out


def test_one_sample_is_no_interval(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as end:
        reproduce.main([str(tmp_path), "--num", "1"])
    assert end.value.code == 2
    assert "--num is 1: an interval needs 2 samples" in capsys.readouterr().err


@pytest.mark.parametrize(("shift", "agrees"), [(0.0, True), (3.0, True), (-15.0, False)])
def test_the_verdict_is_the_interval_of_the_average(shift: float, agrees: bool) -> None:
    paper = TABLE_1.rows["1B RePo"]
    cells: dict[str, Any] = {
        str(task): {"4096": {"score": score + shift, "stderr": 2.0}}
        for task, score in zip(TABLE_1.ours[:-1], paper[:-1], strict=True)
    }
    *columns, mean = reproduce.beside(cells, "1B RePo", 4096)
    assert mean.agrees is agrees
    # 86 % of 100 samples: at most 3.47 points of error in the paper's own cell.
    assert columns[2].error == pytest.approx(math.hypot(2.0, 100 * math.sqrt(0.86 * 0.14 / 100)))
    assert mean.ours - mean.paper == pytest.approx(shift, abs=0.05)
