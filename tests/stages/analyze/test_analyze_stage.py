"""The stage on small random models: what it writes, for which variants, and the same twice."""

import json
from pathlib import Path

import pytest
import torch

import repo_model
from stages.analyze.params import AnalyzeParams
from stages.analyze.samples import retrieval
from stages.analyze.stage import STAGE, run
from stages.common.errors import UserError
from stages.common.files import write_json, write_jsonl
from stages.common.stage import Job
from stages.params import Params

LAYERS, HEADS, PROMPT = 3, 2, 40


def _sample(task: str, index: int) -> dict:
    ids = [(7 * i + index) % 90 + 3 for i in range(PROMPT)]
    spans = {"needle_span": [[4, 7]], "query_span": [[30, PROMPT]]}
    return {"id": f"{task}-{index}", "prompt_ids": ids, "max_new_tokens": 3, **spans}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    benchmarks = tmp_path / "data/benchmarks"
    write_json(benchmarks / "manifest.json", {"lengths": [64, 128]})
    for name in ("niah_single_1-64", "niah_multikey_1-64", "niah_single_1-128", "vt-64"):
        write_jsonl(benchmarks / f"ruler/{name}.jsonl", [_sample(name, i) for i in range(4)])
    probes = [{"id": name, "prompt_ids": list(range(3, 51))} for name in ("structured", "noisy")]
    write_jsonl(benchmarks / "probes.jsonl", probes)
    return tmp_path


def _train(variant: str, seed: int = 1) -> Job:
    shape = {"start_layer": 1} if variant == "repo" else {}
    config = repo_model.RepoOlmo2Config(
        positions=variant,
        **shape,
        hidden_size=32,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        intermediate_size=48,
        vocab_size=100,
        max_position_embeddings=64,
        eos_token_id=0,
        initializer_range=0.5,
    )
    torch.manual_seed(seed)
    repo_model.RepoOlmo2ForCausalLM(config).save_pretrained(f"models/{variant}-{seed}")
    params = AnalyzeParams(samples=3, chunk_tokens=8, epsilon=0.2)
    return Job(STAGE, Params.model_construct(analyze=params), variant, seed)


def _analysis(item: str) -> dict:
    return json.loads(Path(f"analysis/{item}/analysis.json").read_text())


def test_learned_positions_are_written_per_layer_and_head(project):
    job = _train("repo")
    run(job)
    found = _analysis("repo-1")
    assert found["layers"] == ["rope", "repo", "repo"]
    assert set(found["positions"]) == {"structured", "noisy"}
    model = repo_model.load("models/repo-1", dtype=torch.float32)
    with torch.inference_mode(), repo_model.record_positions(model) as recorder:
        model(torch.tensor([list(range(3, 51))]))
    layers = found["positions"]["structured"]
    assert list(layers) == ["1", "2"]
    for layer, content in layers.items():
        z_HN = torch.tensor(content["z"])
        torch.testing.assert_close(z_HN, recorder[int(layer)][0], rtol=0, atol=1e-3)
        assert [h["max"] for h in content["heads"]] == pytest.approx(
            z_HN.amax(1).tolist(), abs=1e-3
        )
    sample = found["sample"]
    assert (sample["id"], sample["tokens"], sample["every"]) == ("niah_multikey_1-64-0", PROMPT, 1)
    assert (sample["needle_span"], sample["query_span"]) == ([[4, 7]], [[30, PROMPT]])
    prompt = torch.tensor([_sample("niah_multikey_1-64", 0)["prompt_ids"]])
    with torch.inference_mode(), repo_model.record_positions(model) as recorder:
        model(prompt)
    for layer in ("1", "2"):
        torch.testing.assert_close(
            torch.tensor(sample["layers"][layer]["z"]), recorder[int(layer)][0], rtol=0, atol=1e-3
        )
    assert {layer: len(heads) for layer, heads in found["collapsed"].items()} == {"1": 2, "2": 2}
    shares = found["patterns"]
    assert shares["chunks"] == 3 * 2 * HEADS * (PROMPT // 8)
    assert shares["monotone"] + shares["constant"] + shares["hybrid"] == pytest.approx(1, abs=1e-5)


def test_a_head_without_a_map_has_collapsed(project):
    job = _train("repo")
    model = repo_model.load("models/repo-1")
    with torch.no_grad():  # fresh maps this narrow give positions of 1e-4: as good as none
        for layer in model.model.layers[1:]:
            layer.self_attn.final_map.weight.mul_(1e4)
        model.model.layers[2].self_attn.final_map.weight[1].zero_()
    model.save_pretrained("models/repo-1")
    run(job)
    assert _analysis("repo-1")["collapsed"] == {"1": [False, False], "2": [False, True]}


@pytest.mark.parametrize("variant", ["rope", "nope"])
def test_without_learned_positions_attention_mass_remains(project, variant):
    run(_train(variant))
    found = _analysis(f"{variant}-1")
    assert found["positions"] == {"structured": {}, "noisy": {}}
    assert (found["patterns"], found["collapsed"], found["linear"]) == (None, {}, {})
    mass = found["attention_mass"]
    assert mass["samples"] == 3
    assert 0 < mass["needle"] < 1
    assert 0 < mass["stderr"]["query"] < mass["query"]


def test_the_same_bytes_twice(project):
    job = _train("repo")
    run(job)
    first = Path("analysis/repo-1/analysis.json").read_bytes()
    run(job)
    assert Path("analysis/repo-1/analysis.json").read_bytes() == first


def test_retrieval_samples_come_from_the_tasks_in_turn_at_the_trained_length(project):
    ids = [sample["id"] for sample in retrieval(project / "data/benchmarks", 3, 127)]
    assert ids == ["niah_multikey_1-64-0", "niah_single_1-64-0", "niah_multikey_1-64-1"]
    longer = [sample["id"] for sample in retrieval(project / "data/benchmarks", 3, 128)]
    assert longer == [f"niah_single_1-128-{i}" for i in range(3)]


def test_benchmarks_without_needles_leave_positions(project):
    for file in (project / "data/benchmarks/ruler").glob("niah_*"):
        file.unlink()
    run(_train("repo"))
    found = _analysis("repo-1")
    assert found["attention_mass"] is None
    assert found["positions"]["noisy"]["1"]["heads"]


def test_a_missing_model_is_named_and_the_earlier_result_stays(project):
    job = _train("repo")
    run(job)
    Path("models/repo-1/config.json").unlink()
    with pytest.raises(UserError, match=r"models/repo-1.*train@repo-1"):
        run(job)
    assert _analysis("repo-1")["variant"] == "repo"
