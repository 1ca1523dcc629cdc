"""The stage on random models: records, figures, resume, and what it refuses."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

import repo_model
from stages.common import paths, windows
from stages.common.encoder import Encoder
from stages.common.errors import UserError
from stages.common.files import read_json, read_jsonl, sha256, write_json, write_jsonl
from stages.common.stage import Job
from stages.common.tokens import DTYPE
from stages.evaluate import engine, pool, vllm_engine
from stages.evaluate.params import EvaluateParams
from stages.evaluate.stage import STAGE, run
from stages.evaluate.worker import Worker
from stages.evaluate_base import stage as base_stage
from stages.params import Params
from tests.stages.evaluate.fake_vllm import FakeVllm

LENGTHS = (64, 128)
BUDGET = 6


def job(variant: str = "repo", tokens: int = 512) -> Job:
    params = Params.model_construct(evaluate=EvaluateParams(perplexity_tokens=tokens))
    return Job(STAGE, params, variant, 1)


def sample(task: str, length: int, index: int) -> dict[str, Any]:
    size = length - BUDGET - index
    return {
        "id": f"{task}-{length}-{index:04}",
        "suite": "ruler" if task == "vt" else "longbench",
        "task": task,
        "metric": "string_match_all" if task == "vt" else "qa_f1",
        "length": length,
        "index": index,
        "outputs": [" "],
        "prompt_ids": [(7 * i + 3 * index) % 200 + 2 for i in range(size)],
        "max_new_tokens": BUDGET,
        "depth": None,
        "shortcut": 0.5 if task == "vt" else None,
        **({} if task == "vt" else {"truncated": index == 0}),
    }


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_model) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("REPO_RUNS", raising=False)
    tokenizer = Tokenizer(models.BPE(_vocabulary(), []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    make_model("rope").save_pretrained(paths.BASE)
    tokenizer.save(str(paths.BASE / "tokenizer.json"))
    for variant in ("rope", "repo"):
        model = make_model(variant, seed=1)
        model.save_pretrained(paths.model(f"{variant}-1"))
        repo_model.extend(model, 2)
        model.save_pretrained(paths.extended(f"{variant}-1"))
        tokenizer.save(str(paths.model(f"{variant}-1") / "tokenizer.json"))
    for task in ("vt", "qa"):
        for length in LENGTHS:
            rows = [sample(task, length, i) for i in range(5)]
            write_jsonl(paths.BENCHMARKS / f"{rows[0]['suite']}/{task}-{length}.jsonl", rows)
    write_manifest()
    rng = np.random.default_rng(0)
    shards = []
    for split, source, tokens in (
        ("train", "text", 100),
        ("validation", "text", 600),
        ("validation", "short", 100),
    ):
        name = f"{split}-{source}.npy"
        paths.TOKENS.mkdir(parents=True, exist_ok=True)
        rng.integers(2, 300, tokens).astype(DTYPE).tofile(paths.TOKENS / name)
        shards.append({"file": name, "split": split, "source": source, "tokens": tokens})
    write_json(paths.TOKENS / "manifest.json", {"shards": shards, "eos_id": 0, "vocab_size": 300})
    windows.write(paths.TOKENS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pool, "_compute", in_this_process([]))
        run_base()
    return tmp_path


def run_base(tokens: int = 512) -> None:
    params = Params.model_construct(evaluate=EvaluateParams(perplexity_tokens=tokens))
    base_stage.run(Job(base_stage.STAGE, params))


def in_this_process(computed: list[Any]) -> Any:
    """What computes shards without Ray, and names them in ``computed``."""

    def compute(missing, folder, worker, arguments) -> None:
        maker = worker(*arguments)
        for shard in missing:
            write_json(folder / f"{shard.key}.json", maker.run(shard))
            computed.append(shard)

    return compute


def _vocabulary() -> dict[str, int]:
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    names = ["<eos>", "<pad>", *letters, *(f"extra{i}" for i in range(42))]
    return {name: index for index, name in enumerate(names)}


def write_manifest() -> None:
    files = sorted(paths.BENCHMARKS.rglob("*.jsonl"))
    hashes = {file.relative_to(paths.BENCHMARKS).as_posix(): sha256(file) for file in files}
    tokenizer = sha256(paths.model("repo-1") / "tokenizer.json")
    manifest = {"lengths": LENGTHS, "hashes": hashes, "tokenizer": tokenizer}
    write_json(paths.BENCHMARKS / "manifest.json", manifest)


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Shards computed in this process, without Ray; the list names them."""
    computed: list[Any] = []
    monkeypatch.setattr(pool, "_compute", in_this_process(computed))
    return computed


def contents(folder: Path) -> dict[str, bytes]:
    return {
        file.relative_to(folder).as_posix(): file.read_bytes()
        for file in folder.rglob("*")
        if file.is_file()
    }


def test_records_and_metrics(project: Path, here: list[Any]) -> None:
    run(job())
    out = paths.results("repo-1")
    names = {f"{suite}-{n}" for suite in ("ruler-vt", "longbench-qa") for n in LENGTHS}
    assert {file.stem for file in (out / "samples").glob("*.jsonl")} == names
    assert not (out / "samples/plain").exists()
    metrics = read_json(out / "metrics.json")
    assert (metrics["variant"], metrics["seed"]) == ("repo", 1)
    assert metrics["model"] == sha256(paths.model("repo-1") / "model.safetensors")
    records = list(read_jsonl(out / "samples/ruler-vt-64.jsonl"))
    assert [record["id"] for record in records] == [f"vt-64-{i:04}" for i in range(5)]
    encoder = Encoder(paths.model("repo-1"))
    for index, record in enumerate(records):
        assert record["prompt_tokens"] == 64 - BUDGET - index
        assert record["prediction"] == encoder.text(record["output_ids"])
        assert len(record["output_ids"]) == BUDGET or record["ended_by_eos"]
        assert record["score"] == float(" " in record["prediction"].strip())
    cell = metrics["cells"]["ruler"]["vt"]["64"]
    assert cell["n"] == 5
    assert cell["score"] == 20 * sum(record["score"] for record in records)
    assert cell["shortcut"] == 50.0
    assert cell["fill"] == pytest.approx((64 - 2) / 64)
    assert metrics["cells"]["longbench"]["qa"]["128"]["truncated"] == 1
    assert metrics["cells"]["longbench"]["qa"]["128"]["shortcut"] is None


def test_longer_lengths_read_the_extended_model_with_their_factor(
    project: Path, here: list[Any]
) -> None:
    run(job())
    out = paths.results("repo-1")
    for length, factor in ((64, None), (128, 2.0)):
        folder = paths.extended("repo-1") if factor else paths.model("repo-1")
        model = repo_model.load(folder, yarn_factor=factor)
        rows = [sample("vt", length, i)["prompt_ids"] for i in range(5)]
        expected = [c.ids for c in engine.generate(model, rows, BUDGET, 0)]
        found = read_jsonl(out / f"samples/ruler-vt-{length}.jsonl")
        assert [record["output_ids"] for record in found] == expected
        cell = read_json(out / "metrics.json")["cells"]["ruler"]["vt"][str(length)]
        assert cell["yarn_factor"] == (factor or 1.0)


def test_validation_loss_per_source_and_length(project: Path, here: list[Any]) -> None:
    run(job(tokens=512))
    metrics = read_json(paths.results("repo-1") / "metrics.json")
    text = metrics["validation"]["text"]
    assert (text["64"]["windows"], text["64"]["tokens"]) == (8, 8 * 63)
    assert text["128"]["tokens"] == 4 * 127
    assert text["128"]["yarn_factor"] == 2.0
    stream = np.fromfile(paths.TOKENS / "validation-text.npy", dtype=DTYPE)
    chosen = [
        window["start"]
        for window in read_json(paths.TOKENS / "windows.json")["windows"]
        if (window["source"], window["length"]) == ("text", 64)
    ]
    texts = [stream[start : start + 64].tolist() for start in chosen[:8]]
    base = metrics["base"]["validation"]["text"]["64"]
    ours, theirs = (
        np.array(engine.window_losses(repo_model.load(folder), texts))
        for folder in (paths.model("repo-1"), paths.BASE)
    )
    for losses, found in ((ours, text["64"]), (theirs, base)):
        assert found["loss"] == pytest.approx(np.mean(losses), abs=1e-6)
        assert found["stderr"] == pytest.approx(np.std(losses, ddof=1) / 8**0.5, abs=1e-6)
    paired = base["difference"]
    assert paired["n"] == 8
    assert paired["value"] == pytest.approx(np.mean(ours - theirs), abs=1e-6)
    assert paired["stderr"] == pytest.approx(np.std(ours - theirs, ddof=1) / 8**0.5, abs=1e-6)
    rows = list(read_jsonl(paths.results("repo-1") / "samples/windows/text-64.jsonl"))
    assert [row["start"] for row in rows] == chosen[:8]
    assert [row["loss"] for row in rows] == pytest.approx(list(ours), abs=1e-5)
    assert set(metrics["validation"]["short"]) == {"64"}  # 100 tokens hold no window of 128
    assert metrics["validation"]["short"]["64"]["stderr"] is None


def test_again_computes_nothing_and_writes_the_same(project: Path, here: list[Any]) -> None:
    run(job())
    first, count = contents(paths.results("repo-1")), len(here)
    run(job())
    assert len(here) == count
    shutil.rmtree("runs")
    run(job())
    assert len(here) == 2 * count
    assert contents(paths.results("repo-1")) == first


def test_a_changed_model_reuses_nothing(project: Path, here: list[Any], make_model) -> None:
    run(job())
    count = len(here)
    make_model("repo", seed=5).save_pretrained(paths.model("repo-1"))
    run(job())
    fresh = {shard.model.folder for shard in here[count:]}
    assert "models/repo-1" in fresh
    assert sum(shard.model.folder == "models/repo-1" for shard in here[count:]) == sum(
        shard.model.folder == "models/repo-1" for shard in here[:count]
    )


def test_vllm_continues_the_samples_and_our_own_engine_reads_the_windows(
    project: Path, here: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    vllm = FakeVllm(project / "vllm", [70, 71])
    monkeypatch.setenv(vllm_engine.VARIABLE, vllm.python)
    run(job())
    own, windows = read_json(paths.results("repo-1") / "metrics.json"), []
    windows.append(contents(paths.results("repo-1") / "samples" / "windows"))
    params = Params.model_construct(
        evaluate=EvaluateParams(perplexity_tokens=512, engine="vllm", stop_when_answered=False)
    )
    base_stage.run(Job(base_stage.STAGE, params))
    run(Job(STAGE, params, "repo", 1))
    metrics = read_json(paths.results("repo-1") / "metrics.json")
    windows.append(contents(paths.results("repo-1") / "samples" / "windows"))
    assert windows[0] == windows[1] and metrics["validation"] == own["validation"]
    assert metrics["made"]["decoded"] == ["vllm"] and own["made"]["decoded"] == ["own"]
    assert metrics["made"]["versions"]["vllm"] == "0.99.1" and "vllm" not in own["made"]["versions"]
    for length in LENGTHS:
        for row in read_jsonl(paths.results("repo-1") / f"samples/ruler-vt-{length}.jsonl"):
            assert (row["output_ids"], row["ended_by_eos"]) == ([70, 71], True)
    read = [(row["arguments"]["max_model_len"], row["files"]) for row in vllm.asked("arguments")]
    assert [window for window, _ in read] == [64, 128, 64, 128]  # base and variant, each at both
    again = len(here)
    run(Job(STAGE, params, "repo", 1))
    assert len(here) == again


def test_a_killed_run_resumes_to_the_same_table(
    project: Path, here: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    run(job())
    whole, total = contents(paths.results("repo-1")), len(here)
    shutil.rmtree("runs")
    shutil.rmtree(paths.results("repo-1"))
    here.clear()
    original = Worker.run

    def dies(self, shard):
        if len(here) == 3:
            raise RuntimeError("killed")
        return original(self, shard)

    monkeypatch.setattr(Worker, "run", dies)
    with pytest.raises(RuntimeError, match="killed"):
        run(job())
    assert not (paths.results("repo-1") / "metrics.json").exists()
    monkeypatch.setattr(Worker, "run", original)
    run(job())
    assert len(here) == len(set(here)) == total
    assert contents(paths.results("repo-1")) == whole


@pytest.mark.ray
def test_on_ray_the_same_bytes(
    project: Path, ray_session, monkeypatch: pytest.MonkeyPatch, here: list[Any]
) -> None:
    run(job())
    first = contents(paths.results("repo-1"))
    monkeypatch.undo()
    monkeypatch.chdir(project)
    shutil.rmtree("runs")
    run(job())
    assert contents(paths.results("repo-1")) == first


def test_refusals(project: Path, here: list[Any]) -> None:
    run(job())
    before = contents(paths.results("repo-1"))
    tokenizer = paths.model("repo-1") / "tokenizer.json"
    kept = tokenizer.read_text()
    tokenizer.write_text(kept + "\n")
    with pytest.raises(UserError, match="not the tokenizer of data/benchmarks"):
        run(job())
    tokenizer.write_text(kept)
    config = paths.extended("repo-1") / "config.json"
    content = json.loads(config.read_text())
    config.write_text(json.dumps(content | {"max_position_embeddings": 100}))
    with pytest.raises(UserError, match="128 is beyond the window of models/repo-1-extended, 100"):
        run(job())
    config.unlink()
    with pytest.raises(UserError, match=r"models/repo-1-extended/config\.json: no such file"):
        run(job())
    assert contents(paths.results("repo-1")) == before
