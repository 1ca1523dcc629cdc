"""``evaluate --suite perplexity``: loss on the beginnings of long documents, by length and by place."""

import gzip
import json
import math
import random
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from stages.common.encoder import Encoder
from stages.common.files import read_json, read_jsonl
from stages.evaluate import pool
from stages.evaluate.version import VERSION
from tests.stages.evaluate.asked import WINDOW, call
from tests.stages.evaluate.without_ray import in_this_process

LENGTHS = (64, 200)


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("REPO_RUNS", str(tmp_path / "runs"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(pool, "_compute", in_this_process)
    return tmp_path


def texts(count: int = 7) -> list[str]:
    rng = random.Random(1)
    sizes = [300, 50, 400, 199, 250, 1000, 600][:count]
    return ["".join(rng.choices("abcdefgh ijk\n", k=size)) for size in sizes]


def write(file: Path, found: list[str]) -> Path:
    lines = "".join(json.dumps({"text": text, "id": n}) + "\n" for n, text in enumerate(found))
    if file.suffix == ".gz":
        file.write_bytes(gzip.compress(lines.encode()))
    else:
        file.write_text(lines)
    return file


def ask(capsys: Any, model: Path, data: Path, *more: Any) -> tuple[int, str]:
    lengths = ",".join(map(str, LENGTHS))
    return call(capsys, model, "--suite", "perplexity", "--data", data, "--lengths", lengths, *more)


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz"])
def test_losses_are_the_model_s_own(name: str, llama: Path, runs: Path, capsys: Any) -> None:
    found = texts()
    code, text = ask(capsys, llama, write(runs / name, found), "--out", "out")
    assert code == 0, text
    metrics = read_json(Path("out/metrics.json"))
    encoder, model = Encoder(llama), AutoModelForCausalLM.from_pretrained(llama)
    long = [encoder.opening() + encoder.ids(text) for text in found]
    long = [ids for ids in long if len(ids) >= LENGTHS[-1]]
    assert 3 < len(long) < len(found)
    for length in LENGTHS:
        per_token = []
        for ids in long:
            window = torch.tensor([ids[:length]])
            with torch.no_grad():
                logits = model(window).logits[0, :-1].float()
            per_token.append(
                torch.nn.functional.cross_entropy(logits, window[0, 1:], reduction="none")
            )
        losses = [float(one.mean()) for one in per_token]
        figures = metrics["lengths"][str(length)]
        assert figures["documents"] == len(long)
        assert figures["loss"] == pytest.approx(sum(losses) / len(losses), abs=1e-5)
        assert figures["perplexity"] == pytest.approx(math.exp(figures["loss"]), rel=1e-5)
        assert len(figures["places"]) == 16
        first = [float(torch.tensor_split(one, 16)[0].mean()) for one in per_token]
        rows = list(read_jsonl(Path(f"out/samples/perplexity-{length}.jsonl")))
        assert [row["loss"] for row in rows] == pytest.approx(losses, abs=1e-5)
        assert figures["places"][0] == pytest.approx(sum(first) / len(first), abs=1e-5)
        assert f"{length:>8} tokens: {figures['loss']:.4f} ± " in text


def test_again_computes_nothing_and_a_model_beside_itself(
    llama: Path, runs: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = write(runs / "a.jsonl", texts())
    assert ask(capsys, llama, data, "--out", "one")[0] == 0
    monkeypatch.setattr(pool, "_compute", None)  # a call would raise
    code, text = ask(capsys, llama, data, "--out", "two", "--against", "one")
    assert code == 0, text
    assert "paired by document" in text and text.count("+0.0000 ± 0.0000 (5 documents)") == 2
    assert Path("one/metrics.json").read_bytes() == Path("two/metrics.json").read_bytes()


def test_against_a_folder_that_out_replaces(llama: Path, runs: Path, capsys: Any) -> None:
    data = write(runs / "a.jsonl", texts())
    assert ask(capsys, llama, data, "--out", "out")[0] == 0
    other = Path(shutil.copytree(llama, runs / "other"))
    model = AutoModelForCausalLM.from_pretrained(llama)
    with torch.no_grad():
        model.lm_head.weight.mul_(3.0)
    model.save_pretrained(other)
    code, text = ask(capsys, other, data, "--out", "out", "--against", "out")
    assert code == 0, text
    assert "+0.0000 ± 0.0000" not in text and "(5 documents)" in text
    assert read_json(Path("out/metrics.json"))["model"] == str(other)


def test_a_model_that_has_diverged_has_a_loss(llama: Path, runs: Path, capsys: Any) -> None:
    other = Path(shutil.copytree(llama, runs / "other"))
    model = AutoModelForCausalLM.from_pretrained(llama)
    with torch.no_grad():
        model.lm_head.weight.mul_(1e4)
    model.save_pretrained(other)
    code, text = ask(capsys, other, write(runs / "a.jsonl", texts()), "--out", "out")
    assert code == 0, text
    assert "perplexity beyond all numbers" in text
    assert read_json(Path("out/metrics.json"))["lengths"]["64"]["perplexity"] is None


def test_a_text_that_is_there_twice_counts_once(llama: Path, runs: Path, capsys: Any) -> None:
    found = ["a" * 300] * 3 + ["b" * 300, "c" * 300, "d" * 300]
    asked = ("--num", 3, "--out", "out")
    code, text = ask(capsys, llama, write(runs / "a.jsonl", found), *asked)
    assert code == 0, text
    assert read_json(Path("out/metrics.json"))["lengths"]["64"]["documents"] == 3


def test_fewer_documents_and_beyond_the_window(llama: Path, runs: Path, capsys: Any) -> None:
    found = ["ab c" * 600, "hgf " * 700, "x" * 20]
    write(runs / "a.jsonl", found)
    asked = (llama, "--suite", "perplexity", "--data", "a.jsonl", "--yarn", "--num", 2)
    code, text = call(capsys, *asked, "--lengths", f"{WINDOW},{2 * WINDOW}", "--out", "out")
    assert code == 0, text
    assert "YaRN x2" in text
    lengths = read_json(Path("out/metrics.json"))["lengths"]
    assert [one["yarn_factor"] for one in lengths.values()] == [1.0, 2.0]
    assert {one["documents"] for one in lengths.values()} == {2}


def test_another_tokenizer_is_not_compared(llama: Path, runs: Path, capsys: Any) -> None:
    data = write(runs / "a.jsonl", texts())
    assert ask(capsys, llama, data, "--out", "one")[0] == 0
    other = Path(shutil.copytree(llama, runs / "other"))
    content = json.loads((other / "tokenizer.json").read_text())
    content["model"]["vocab"]["unheard"] = content["model"]["vocab"].pop("extra0")
    (other / "tokenizer.json").write_text(json.dumps(content))
    code, text = ask(capsys, other, data, "--against", "one")
    assert code == 0, text
    assert "not compared: its tokenizer is another" in text


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ((), "--data is missing: give a file or a folder of documents"),
        (("--data", "none.jsonl"), "--data is 'none.jsonl': no such file or folder"),
        (("--data", "short.jsonl"), "1 documents of 200 tokens in it; give longer ones"),
        (("--data", "short.jsonl", "--tasks", "vt"), "--tasks is not for --suite perplexity"),
        (("--data", "short.jsonl", "--engine", "vllm"), "--engine is not for --suite perplexity"),
        (
            ("--data", "short.jsonl", "--template", "auto"),
            "--template is not for --suite perplexity",
        ),
        (("--data", "short.jsonl", "--against", "."), "--against is '.': no metrics.json in it"),
        (
            ("--data", "short.jsonl", "--against", "ruler"),
            "of --suite None, version None; give one",
        ),
        (
            ("--data", "short.jsonl", "--against", "half"),
            "not whole (KeyError: 'lengths'); measure it",
        ),
        (("--data", "other.jsonl"), "line 1: no 'text' in it, only ['body']; a document stands in"),
        (("--data", "broken.jsonl"), "broken.jsonl line 2: not JSON"),
    ],
)
def test_mistakes_are_one_line(
    more: tuple[str, ...], message: str, llama: Path, runs: Path, capsys: Any
) -> None:
    write(runs / "short.jsonl", ["x" * 300, "y" * 30])
    (runs / "other.jsonl").write_text('{"body": "x"}\n')
    (runs / "broken.jsonl").write_text('{"text": "x"}\n{"text": \n')
    for name, content in (("ruler", []), ("half", {"suite": "perplexity", "version": VERSION})):
        (runs / name).mkdir()
        (runs / name / "metrics.json").write_text(json.dumps(content))
    code, text = call(capsys, llama, "--suite", "perplexity", "--lengths", "64,200", *more)
    assert (code, text.count("\n")) == (2, 1) and message in text
