"""``repo-pipeline evaluate --engine vllm`` in vLLM's own environment, beside our own engine here."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

import repo_model
from stages.common.files import read_json, read_jsonl
from tests.families.rows import widen
from tests.stages.evaluate.asked import SHAPE, save

pytestmark = [pytest.mark.vllm, pytest.mark.stress]
ROOT = Path(__file__).parents[2]
ASKED = ("--suite", "ruler", "--lengths", "900", "--tasks", "niah_single_1,fwe", "--num", "3")


def test_it_answers_as_our_own_engine(vllm_python: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    config = LlamaConfig(
        hidden_size=128, intermediate_size=64, num_hidden_layers=4, num_attention_heads=4,
        max_position_embeddings=1000, initializer_range=0.2, **SHAPE,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(tmp_path / "base")
    model = widen(repo_model.load(tmp_path / "base", positions=["rope", "repo", "nope", "repo"]))
    folder = save(tmp_path / "model", model)

    def evaluate(python: str, engine: str) -> Path:
        out = tmp_path / engine
        command = ("-m", "pipeline.cli", "evaluate", folder, "--engine", engine, *ASKED)
        done = subprocess.run(
            [python, *map(str, command), "--new-tokens", "6", "--out", out],
            cwd=ROOT, capture_output=True, text=True, check=False,
            env={**os.environ, "REPO_RUNS": str(tmp_path / "runs"), "REPO_EVAL_RAY": "0"},
        )  # fmt: skip
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
        return out

    own, other = evaluate(sys.executable, "own"), evaluate(vllm_python, "vllm")
    for name in ("niah_single_1", "fwe"):
        ours, theirs = (list(read_jsonl(out / f"samples/{name}-900.jsonl")) for out in (own, other))
        assert [row["prediction"] for row in theirs] == [row["prediction"] for row in ours]
        assert all(row["prediction"] for row in ours)
    made = read_json(other / "metrics.json")["made"]
    assert made["decoded"] == ["vllm"] and made["versions"]["vllm"][0].isdigit()
