"""The base in the graph scores what ``repo-pipeline evaluate`` gives it alone, extended too."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from stages.benchmarks import kept
from stages.common import paths
from stages.common.files import read_json, read_jsonl, sha256, write_json
from stages.common.stage import Job
from stages.common.tokens import DTYPE
from stages.evaluate import pool
from stages.evaluate.params import EvaluateParams
from stages.evaluate_base.stage import STAGE, run
from stages.params import Params
from tests.stages.evaluate.test_any_model import SHAPE, call, in_this_process, save

WINDOW, LENGTHS = 800, (700, 1200)
"""The second is beyond the window: read with YaRN x1.5."""


def test_the_base_alone_scores_the_same(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REPO_RUNS", str(tmp_path / "runs"))
    monkeypatch.setattr(pool, "_compute", in_this_process)
    torch.manual_seed(0)
    config = LlamaConfig(
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=WINDOW,
        initializer_range=0.4,
        **SHAPE,
    )
    save(paths.BASE, LlamaForCausalLM(config))
    asked = ("--lengths", ",".join(map(str, LENGTHS)), "--num", 2, "--tasks", "niah_single_1")
    code, text = call(capsys, paths.BASE, *asked, "--yarn", "--out", "alone")
    assert code == 0, text
    assert (
        f"trained length {WINDOW} (its window; none is recorded); YaRN: 700 plain, 1200 x1.5"
        in text
    )
    alone = read_json(Path("alone/metrics.json"))
    by_hash = {sha256(file): file for file in kept.root().rglob("*.jsonl")}
    hashes = {}
    for length in LENGTHS:
        file = f"ruler/niah_single_1-{length}.jsonl"
        (paths.BENCHMARKS / file).parent.mkdir(parents=True, exist_ok=True)
        hashes[file] = alone["samples"][f"niah_single_1-{length}"]
        shutil.copyfile(by_hash[hashes[file]], paths.BENCHMARKS / file)
    manifest = {"lengths": LENGTHS, "hashes": hashes}
    manifest["tokenizer"] = sha256(paths.BASE / "tokenizer.json")
    write_json(paths.BENCHMARKS / "manifest.json", manifest)
    paths.TOKENS.mkdir(parents=True)
    np.arange(3000).astype(DTYPE).__mod__(290).tofile(paths.TOKENS / "v.npy")
    shard = {"file": "v.npy", "split": "validation", "source": "text", "tokens": 3000}
    write_json(paths.TOKENS / "manifest.json", {"shards": [shard], "eos_id": 0, "vocab_size": 300})
    params = Params.model_construct(evaluate=EvaluateParams(perplexity_tokens=4096))
    run(Job(STAGE, params))
    out = paths.results("base")
    cells = read_json(out / "metrics.json")["cells"]["ruler"]["niah_single_1"]
    assert cells == alone["cells"]["niah_single_1"]
    assert [cells[str(length)]["yarn_factor"] for length in LENGTHS] == [1.0, 1.5]
    for length in LENGTHS:
        ours = list(read_jsonl(out / f"samples/ruler-niah_single_1-{length}.jsonl"))
        theirs = list(read_jsonl(Path(f"alone/samples/niah_single_1-{length}.jsonl")))
        assert [row["output_ids"] for row in ours] == [row["output_ids"] for row in theirs]
        assert any(row["output_ids"] for row in ours)
