"""The trained length, through the real stages: bases with wide and narrow windows, trained at 256.

base, train, extend, evaluate_base, evaluate, analyze and report run as their commands do; what is
held are the factors in their files, and the page's tables and sentences.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ruamel.yaml import YAML

import repo_model
from pipeline.use import profiles
from stages.analyze.stage import STAGE as ANALYZE
from stages.base.stage import STAGE as BASE
from stages.common import entry, paths, windows
from stages.common.files import fingerprint, read_json, read_jsonl, sha256, write_json, write_jsonl
from stages.common.stage import Stage
from stages.common.tokens import DTYPE
from stages.evaluate import engine, pool
from stages.evaluate.stage import STAGE as EVALUATE
from stages.evaluate_base.stage import STAGE as EVALUATE_BASE
from stages.extend.stage import STAGE as EXTEND
from stages.report.stage import STAGE as REPORT
from stages.train import stage as train
from tests.stages.bytes_tokenizer import save_tokenizer
from tests.stages.report.test_report_page import Page

TRAINED, LENGTHS = 256, (256, 512, 1024)
VOCABULARY, BUDGET, SAMPLES = 300, 6, 3
ITEMS = ("rope-42", "repo-42")
EXPECTED: dict[int, dict[str, Any]] = {
    131_072: {
        "base": {"256": 1.0, "512": 1.0, "1024": 1.0},
        "plain": {"512", "1024"},
        "said": [
            "Trained at 256 tokens (the base's window is 131,072) and measured at 256 as trained, "
            "512 with YaRN x2 and 1,024 with YaRN x4 (on RoPE and RePo layers, as the official code "
            "does, without further training).",
            "RoPE and RePo read 512 and 1,024 also without YaRN",
            "The base model was measured on the same samples and windows, at 256 as trained, 512 as "
            "trained and 1,024 as trained; its trained length is taken to be 131,072, its window.",
        ],
    },
    512: {
        "base": {"256": 1.0, "512": 1.0, "1024": 2.0},
        "plain": {"512"},
        "said": [
            "Trained at 256 tokens (the base's window is 512) and measured at 256 as trained, 512 "
            "with YaRN x2 and 1,024 with YaRN x4",
            "RoPE and RePo read 512 also without YaRN",
            "at 256 as trained, 512 as trained and 1,024 with YaRN x2 (on RoPE and RePo layers",
        ],
    },
    256: {
        "base": {"256": 1.0, "512": 2.0, "1024": 4.0},
        "plain": set(),
        "said": ["Trained at 256 tokens and measured at 256 as trained, 512 with YaRN x2"],
    },
}


def base_model(window: int) -> Any:
    """A random model whose outputs depend on positions."""
    config = repo_model.RepoOlmo2Config(
        positions="rope",
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        vocab_size=VOCABULARY,
        max_position_embeddings=window,
        rope_parameters={"rope_type": "default", "rope_theta": 1e4},
        initializer_range=0.4,
        eos_token_id=0,
        pad_token_id=1,
    )
    torch.manual_seed(3)
    return repo_model.RepoOlmo2ForCausalLM(config)


def write_inputs(window: int) -> None:
    """Params, tokenizer, tokens, samples and the base's folder."""
    params = YAML(typ="safe").load(profiles()["smoke"])
    params["base"] = {"source": "./source", "needs": "source"}
    params["tokenizer"] = {"source": "./source"}
    params["train"] |= {"tokens": 2048, "batch_tokens": 1024}
    params["train"]["lengths"] = [{"length": TRAINED, "share": 1.0}]
    with open("params.yaml", "w") as file:
        YAML().dump(params, file)
    base_model(window).save_pretrained("source")
    paths.TOKENIZER.mkdir(parents=True)
    save_tokenizer(paths.TOKENIZER)
    shutil.copyfile(paths.TOKENIZER / "tokenizer.json", "source/tokenizer.json")
    facts = {"vocab_size": VOCABULARY, "eos_id": 0, "pad_id": 1}
    write_json(paths.TOKENIZER / "manifest.json", facts)
    write_json(paths.CORPUS / "manifest.json", {})
    rng, shards = np.random.default_rng(0), []
    for split, source, tokens in (
        ("train", "text", 6000),
        ("validation", "text", 5000),
        ("validation", "more", 1500),
    ):
        file = f"{split}-{source}.npy"
        paths.TOKENS.mkdir(parents=True, exist_ok=True)
        rng.integers(2, VOCABULARY, tokens).astype(DTYPE).tofile(paths.TOKENS / file)
        shards.append({"file": file, "split": split, "source": source, "tokens": tokens})
    made_by = fingerprint(paths.TOKENIZER)
    manifest = {"shards": shards, "eos_id": 0, "vocab_size": VOCABULARY, "tokenizer": made_by}
    write_json(paths.TOKENS / "manifest.json", manifest)
    windows.write(paths.TOKENS)
    for length in LENGTHS:
        rows = [sample(length, index) for index in range(SAMPLES)]
        write_jsonl(paths.BENCHMARKS / f"ruler/niah_single_1-{length}.jsonl", rows)
    probes = [{"id": name, "prompt_ids": list(range(3, 51))} for name in ("structured", "noisy")]
    write_jsonl(paths.BENCHMARKS / "probes.jsonl", probes)
    files = sorted(paths.BENCHMARKS.rglob("*.jsonl"))
    hashes = {file.relative_to(paths.BENCHMARKS).as_posix(): sha256(file) for file in files}
    manifest = {"lengths": LENGTHS, "hashes": hashes}
    manifest["tokenizer"] = sha256(paths.TOKENIZER / "tokenizer.json")
    write_json(paths.BENCHMARKS / "manifest.json", manifest)


def sample(length: int, index: int) -> dict[str, Any]:
    size = length - BUDGET - index
    return {
        "id": f"niah_single_1-{length}-{index:04}",
        "suite": "ruler",
        "task": "niah_single_1",
        "metric": "string_match_all",
        "length": length,
        "index": index,
        "input": f"The text of sample {index}: the number is 7. What is the number? ",
        "answer_prefix": "It is",
        "outputs": [" "],
        "prompt_ids": [(7 * i + 3 * index) % 200 + 2 for i in range(size)],
        "max_new_tokens": BUDGET,
        "depth": 0.5,
        "needle_span": [[20, 24]],
        "query_span": [[size - 8, size]],
        "answer_ids": [[20, 21]],
        "shortcut": 0.5,
    }


def stage(declared: Stage, item: str | None = None) -> None:
    """Run a stage as its command does."""
    variant, _, seed = (item or "").partition("-")
    status = entry.attempt(declared, variant or None, int(seed) if seed else None)
    assert status.code == 0, status.line


def untrained(label: str, run: Any, vocabulary: int) -> Path:
    """In place of the training loop: the starting model, exported as the loop exports its last."""
    run.build().save_pretrained(run.final)
    point = {"step": 2, "tokens": 2048, "loss": 5.0, "lr": 0.0}
    write_jsonl(run.folder / "log.jsonl", [point])
    return Path(run.final)


def alone(missing: Any, folder: Path, worker: Any, arguments: Any) -> None:
    """Shards in this process, without Ray."""
    maker = worker(*arguments)
    for shard in missing:
        write_json(folder / f"{shard.key}.json", maker.run(shard))


@pytest.fixture(
    scope="module",
    params=[
        *((window, False) for window in EXPECTED),
        pytest.param((131_072, True), marks=[pytest.mark.ray, pytest.mark.stress]),
    ],
    ids=lambda param: f"{param[0]}{'-trained' if param[1] else ''}",
)
def project(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[int]:
    """The window of a base that went through all stages; the last one is really trained, on Ray."""
    window, for_real = request.param
    folder = tmp_path_factory.mktemp("project")
    if for_real:
        request.getfixturevalue("ray_session")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("REPO_RUNS", str(folder / "runs"))
        if not for_real:
            patch.setattr(train, "launch", untrained)
            patch.setattr(pool, "_compute", alone)
        write_inputs(window)
        stage(BASE)
        stage(EVALUATE_BASE)
        for item in ITEMS:
            for declared in (train.STAGE, EXTEND, EVALUATE, ANALYZE):
                stage(declared, item)
        stage(REPORT)
        yield int(window)


def factors(cells: dict[str, Any]) -> dict[str, float]:
    return {length: cell["yarn_factor"] for length, cell in cells.items()}


def test_factors_tables_and_sentences_follow_what_was_trained(project: int) -> None:
    expected = EXPECTED[project]
    trained = {"256": 1.0, "512": 2.0, "1024": 4.0}
    for item in ITEMS:
        config = read_json(paths.model(item) / "config.json")
        assert config["repo_training"]["trained_length"] == TRAINED
        assert config["max_position_embeddings"] == config["repo_training"]["window"] == project
        extended = read_json(paths.extended(item) / "config.json")
        assert extended["repo_training"]["factor"] == 4.0
        assert extended["max_position_embeddings"] == 1024
        assert extended["rope_parameters"]["original_max_position_embeddings"] == TRAINED
        metrics = read_json(paths.results(item) / "metrics.json")
        for kind in (metrics, metrics["plain"]):
            wanted = trained if kind is metrics else dict.fromkeys(expected["plain"], 1.0)
            for cells in (*kind["cells"].get("ruler", {}).values(), *kind["validation"].values()):
                assert factors(cells) == wanted
        assert bool(metrics["plain"]["cells"]) == bool(expected["plain"])
        assert factors(metrics["base"]["cells"]["ruler"]["niah_single_1"]) == expected["base"]
        for cells in metrics["base"]["validation"].values():
            assert factors(cells) == expected["base"]
            assert all(cell["difference"]["n"] == cell["windows"] for cell in cells.values())
    text = Path("report/index.html").read_text()
    summary = " ".join(read_json(Path("report/figures.json"))["summary"])
    for sentence in expected["said"]:
        assert sentence in summary
    page = Page(text)
    behind = [row for row in page.table("Behind the scores")[1:] if len(row) >= 7]
    assert [row[-1] for row in behind] == ["1", "2", "4"] * len(ITEMS)
    assert page.table("Score in percent ±")[0][3:6] == ["base", "RoPE", "RePo"]
    both = any("without YaRN, and extended" in caption for caption in page.tables)
    assert both == bool(expected["plain"])
    losses = page.table("Validation loss in nats per token ±")[1:]
    assert all("–" not in cell for row in losses for cell in row)


def test_each_reading_is_the_model_s_own(project: int) -> None:
    """Plain and extended records are what the model, loaded so by hand, writes and loses."""
    item, length = "repo-42", 512
    out = paths.results(item) / "samples"
    ways = [(out, repo_model.load(paths.extended(item), yarn_factor=2.0))]
    if EXPECTED[project]["plain"]:
        ways.append((out / "plain", repo_model.load(paths.model(item))))
    prompts = [sample(length, index)["prompt_ids"] for index in range(SAMPLES)]
    stream = np.fromfile(paths.TOKENS / "validation-text.npy", dtype=DTYPE)
    losses = []
    for folder, model in ways:
        found = list(
            read_jsonl(folder / f"niah_single_1-{length}.jsonl".replace("niah", "ruler-niah"))
        )
        expected = [one.ids for one in engine.generate(model, prompts, BUDGET, 0)]
        assert [record["output_ids"] for record in found] == expected
        rows = list(read_jsonl(folder / f"windows/text-{length}.jsonl"))
        texts = [stream[row["start"] : row["start"] + length].tolist() for row in rows]
        by_hand = engine.window_losses(model, texts)
        assert [row["loss"] for row in rows] == pytest.approx(by_hand, abs=1e-5)
        losses.append(by_hand)
    assert len(losses) == 1 or losses[0] != losses[1]
