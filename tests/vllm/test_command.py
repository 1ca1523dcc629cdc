"""``evaluate --engine vllm``: vLLM's process beside our own engine, and what it refuses."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import LlamaConfig, LlamaForCausalLM

import repo_model
from stages.common.files import read_json, read_jsonl
from stages.evaluate.vllm_engine import VARIABLE
from tests.families.rows import widen
from tests.stages.evaluate.asked import SHAPE, save

pytestmark = [pytest.mark.vllm, pytest.mark.stress]
ROOT = Path(__file__).parents[2]
ASKED = ("--suite", "ruler", "--tasks", "niah_single_1,fwe", "--num", "3", "--new-tokens", "6")


@pytest.fixture
def evaluate(vllm_python: str, tmp_path: Path) -> Any:
    def call(folder: Path, engine: str, *more: str) -> subprocess.CompletedProcess[str]:
        command = ("-m", "pipeline.cli", "evaluate", folder, "--engine", engine, *ASKED, *more)
        settings = {
            "REPO_RUNS": str(tmp_path / "runs"),
            VARIABLE: vllm_python,
            "REPO_EVAL_RAY": "0",
        }
        return subprocess.run(
            [sys.executable, *map(str, command), "--out", str(tmp_path / engine)],
            cwd=ROOT, capture_output=True, text=True, check=False, env={**os.environ, **settings},
        )  # fmt: skip

    return call


def model(folder: Path, width: int = 128) -> Path:
    """Mixed layers, saved as ``train`` does."""
    torch.manual_seed(0)
    config = LlamaConfig(
        hidden_size=width, intermediate_size=64, num_hidden_layers=4, num_attention_heads=4,
        max_position_embeddings=1000, initializer_range=0.2, **SHAPE,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder / "base")
    made = widen(repo_model.load(folder / "base", positions=["rope", "repo", "nope", "repo"]))
    return save(folder / "model", made)


def test_it_answers_as_our_own_engine(evaluate: Any, tmp_path: Path) -> None:
    """At the window, and by YaRN at twice as much: there are two folders, and two processes."""
    folder = model(tmp_path)
    for engine in ("own", "vllm"):
        done = evaluate(folder, engine, "--lengths", "900,2000", "--yarn")
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    for name in ("niah_single_1-900", "fwe-900", "niah_single_1-2000", "fwe-2000"):
        ours, theirs = (
            list(read_jsonl(tmp_path / engine / f"samples/{name}.jsonl"))
            for engine in ("own", "vllm")
        )
        assert [row["prediction"] for row in theirs] == [row["prediction"] for row in ours]
        assert all(row["prediction"] for row in ours)
    made = read_json(tmp_path / "vllm" / "metrics.json")["made"]
    assert made["decoded"] == ["vllm"] and made["versions"]["vllm"][0].isdigit()


@pytest.mark.parametrize("fault", ["a weight is missing", "a file is cut", "no such head size"])
def test_what_it_cannot_load_is_one_line(fault: str, evaluate: Any, tmp_path: Path) -> None:
    folder = model(tmp_path, width=40 if fault == "no such head size" else 128)
    file = folder / "model.safetensors"
    if fault == "a weight is missing":
        weights = load_file(file)
        del weights["model.layers.1.self_attn.gate_map.weight"]
        save_file(weights, file, metadata={"format": "pt"})
    elif fault == "a file is cut":
        file.write_bytes(file.read_bytes()[:-1000])
    done = evaluate(folder, "vllm", "--lengths", "900")
    told = [line for line in done.stderr.splitlines() if line.startswith("repo-pipeline:")]
    assert done.returncode == 2 and len(told) == 1, done.stdout[-2000:] + done.stderr[-2000:]
    what = (
        "read" if fault == "no such head size" else "load"
    )  # its kernels say so when they are called
    assert f"does not {what} {folder} (" in told[0] and told[0].endswith("; take the engine own")
