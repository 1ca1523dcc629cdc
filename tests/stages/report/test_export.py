"""``repo-pipeline export``: a folder that stock transformers reads, a card made from records."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub import ModelCard

import repo_model
from stages.common import trained
from stages.common.errors import UserError
from stages.common.files import read_json, write_json
from stages.evaluate.models import weights_sha256
from stages.report import card
from stages.report.export import export, main
from tests.stages.report import fabricated_results as fabricated

BASE = "some-lab/base-1b"
LOCK = {
    "stages": {
        "corpus": {
            "params": {"params.yaml": {"corpus": {"source": "hub", "dataset": "lab/pages"}}}
        },
        "base": {"params": {"params.yaml": {"base": {"source": BASE, "revision": "abc"}}}},
        "train@repo-1": {
            "params": {
                "params.yaml": {
                    "train": {
                        "tokens": 12345,
                        "lr": 0.5,
                        "lengths": [{"length": 128, "share": 1.0, "sources": None}],
                    },
                    "definitions.repo.train": {"overrides": {"lr": 0.25}},
                }
            }
        },
    }
}


@pytest.fixture
def run(folder: Path) -> Path:
    """A run with one trained model and fabricated results of it."""
    fabricated.write_run(("repo",), (1,))
    config = repo_model.RepoOlmo2Config(
        positions=["rope", "repo"],
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        vocab_size=300,
        max_position_embeddings=128,
    )
    torch.manual_seed(0)
    model = folder / "models/repo-1"
    repo_model.RepoOlmo2ForCausalLM(config).save_pretrained(model)
    trained.record(model, 128)
    (model / "tokenizer.json").write_text("{}")
    (model / "tokenizer_manifest.json").write_text("{}")
    measured(folder)
    write_json(folder / "dvc.lock", LOCK)
    return folder


def measured(folder: Path, **changes: Any) -> None:
    """Say in the results that they are of the model that is there."""
    file = folder / "results/repo-1/metrics.json"
    model = weights_sha256(folder / "models/repo-1")
    write_json(file, {**read_json(file), "model": model, **changes})


def test_stock_transformers_reads_the_folder(run: Path) -> None:
    model, out = run / "models/repo-1", run / "out"
    export(model, out, "mit")
    code = (
        "import sys, torch; from transformers import AutoModelForCausalLM;"
        "sys.path[:] = [p for p in sys.path if p not in ('', sys.argv[2])];"
        "m = AutoModelForCausalLM.from_pretrained(sys.argv[1], trust_remote_code=True);"
        "torch.save(m(torch.arange(9)[None]).logits, sys.argv[1] + '/logits.pt')"
    )
    root = str(Path(__file__).parents[3])
    subprocess.run([sys.executable, "-c", code, str(out), root], check=True, cwd=run)
    ours = repo_model.load(model)(torch.arange(9)[None]).logits
    assert torch.equal(torch.load(out / "logits.pt"), ours)
    assert not (out / "tokenizer_manifest.json").exists()
    assert not any(file.is_symlink() for file in out.iterdir())


def test_the_card_says_what_the_records_say(run: Path) -> None:
    export(run / "models/repo-1", run / "out", "mit")
    found = ModelCard.load(run / "out/README.md")
    assert (found.data.base_model, found.data.license) == (BASE, "mit")
    assert found.data.datasets == ["lab/pages"]
    text, metrics = found.text, read_json(run / "results/repo-1/metrics.json")
    cell = metrics["cells"]["ruler"]["vt"]["128"]
    assert f"| vt | 128 | {card.interval(cell, 'score', 1)} |" in text
    assert f"{cell['score']:.1f} [" in text
    assert "lr 0.25" in text  # the variant's own value
    last = (run / "results/repo-1/loss.csv").read_text().splitlines()[-1].split(",")
    assert f"Trained for {int(last[0]):,} steps, {int(last[1]):,} tokens" in text
    assert "the trained length of 128 tokens" in text
    assert "1 x rope, 1 x repo" in text
    assert str(run) not in text


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        ({"score": 50.0, "stderr": 10.0}, "50.0 [30.4, 69.6]"),
        ({"score": 99.0, "stderr": 1.0}, "99.0 [97.0, 100.0]"),
        ({"score": 1.0, "stderr": None}, "1.0"),
        ({"score": 0.0, "stderr": 0.0}, "0.0"),
        (None, "–"),
    ],
)
def test_an_interval_stays_among_the_scores(cell: dict[str, Any] | None, text: str) -> None:
    assert card.interval(cell, "score", 1) == text


def test_a_model_without_records_says_so(run: Path, tmp_path: Path) -> None:
    alone = tmp_path / "elsewhere/models/repo-1"
    alone.parent.mkdir(parents=True)
    (run / "models/repo-1").rename(alone)
    export(alone, run / "out")
    text = (run / "out/README.md").read_text()
    assert "No scores: not recorded." in text
    assert "Not recorded. Ask before you use the weights." in text


def _other_weights(run: Path) -> None:
    measured(run, model="of another")


def _out_is_there(run: Path) -> None:
    (run / "out").mkdir()


def _stock(run: Path) -> None:
    write_json(run / "models/repo-1/config.json", {"model_type": "llama"})


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (_other_weights, "measured on other weights"),
        (_out_is_there, "it exists; name a new folder"),
        (_stock, "names no positions"),
    ],
)
def test_what_cannot_be_exported_is_refused_whole(run: Path, spoil: Any, says: str) -> None:
    spoil(run)
    before = sorted(run.rglob("*"))
    with pytest.raises(UserError, match=says):
        export(run / "models/repo-1", run / "out")
    assert sorted(run.rglob("*")) == before


@pytest.mark.parametrize(
    ("options", "token", "says"),
    [
        (["--push", "no-org", "--license", "mit"], "t", "give ORG/NAME"),
        (["--push", "a/b/c", "--license", "mit"], "t", "give ORG/NAME"),
        (["--push", "a/b"], "t", "add --license"),
        (["--push", "a/b", "--license", "mit"], None, "hf auth login"),
        (["--push", "a/b", "--license", "mit"], "t", "add --yes"),
    ],
)
def test_a_push_is_refused_before_a_byte_is_copied(
    run: Path,
    options: list[str],
    token: str | None,
    says: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("huggingface_hub.get_token", lambda: token)
    with pytest.raises(SystemExit) as end:
        main(["models/repo-1", "out", *options])
    shown = capsys.readouterr().err
    assert (end.value.code, shown.count("\n")) == (2, 1)
    assert says in shown
    assert not (run / "out").exists()


def test_a_push_that_is_declined_uploads_nothing(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("huggingface_hub.get_token", lambda: "t")
    monkeypatch.setattr(
        "huggingface_hub.HfApi.create_repo", lambda *a, **k: pytest.fail("uploaded")
    )
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda question: "n")
    with pytest.raises(SystemExit) as end:
        main(["models/repo-1", "out", "--push", "a/b", "--license", "mit"])
    assert end.value.code == 0
    assert "nothing was uploaded" in capsys.readouterr().out
