"""A user's mistakes through the stage: one line, exit code 2, and nothing of before is lost."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import repo_model
from pipeline.use import profiles
from stages.base.stage import TOKENIZER_MANIFEST
from stages.common import entry, runs
from stages.common.errors import USER_MISTAKE
from stages.common.files import read_json, write_json
from stages.common.stage import Job
from stages.params import load
from stages.train.stage import STAGE
from tests.stages.conftest import VOCABULARY, make_tokens
from tests.stages.training.conftest import flip

MODEL = Path("models/repo-42/model.safetensors")


def make_base(folder: Path, vocabulary: int = VOCABULARY, width: int = 16) -> None:
    """A model for continual pre-training, as ``base`` leaves it."""
    torch.manual_seed(0)
    config = repo_model.RepoOlmo2Config(
        positions="rope",
        vocab_size=vocabulary,
        hidden_size=width,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=256,
        pad_token_id=None,
        bos_token_id=None,
        eos_token_id=0,
    )
    repo_model.RepoOlmo2ForCausalLM(config).save_pretrained(folder)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project before ``train``, with an earlier result in the stage's place."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("REPO_RUNS", raising=False)
    (tmp_path / "params.yaml").write_text(profiles()["smoke"])
    manifest = make_tokens(tmp_path / "data/tokens") / "manifest.json"
    content = read_json(manifest)
    for shard in content["shards"]:
        shard["source"] = {"a": "python", "b": "long"}[shard["source"]]
    write_json(manifest, content)
    make_base(tmp_path / "models/base")
    MODEL.parent.mkdir(parents=True)
    MODEL.write_bytes(b"an earlier result")
    return tmp_path


def other_tokenizer(project: Path) -> None:
    write_json(project / "models/base" / TOKENIZER_MANIFEST, {"hashes": {}})
    manifest = project / "data/tokens/manifest.json"
    write_json(manifest, {**read_json(manifest), "tokenizer": "0" * 64})


def smaller_embedding(project: Path) -> None:
    shutil.rmtree(project / "models/base")
    make_base(project / "models/base", vocabulary=48)


def long_sequence(project: Path) -> None:
    params = project / "params.yaml"
    before = "train:\n  tokens: 30720\n  batch_tokens: 2048\n  lengths:\n    - {length: 256,"
    after = "train:\n  tokens: 40960\n  batch_tokens: 4096\n  lengths:\n    - {length: 4096,"
    assert before in params.read_text()
    text = params.read_text().replace(before, after)
    params.write_text(text.replace("max_position_embeddings: 256", "max_position_embeddings: 4096"))


def empty_shard(project: Path) -> None:
    (project / "data/tokens/train/a-00001.npy").write_bytes(b"")


def no_tokens(project: Path) -> None:
    manifest = project / "data/tokens/manifest.json"
    shards = read_json(manifest)["shards"]
    for shard in shards:
        shard["tokens"] = 0
        (project / "data/tokens" / shard["file"]).write_bytes(b"")
    write_json(manifest, {**read_json(manifest), "shards": shards})


def unwritable_runs(project: Path) -> None:
    (project / "runs").write_text("a file, where a folder should be")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (other_tokenizer, "data/tokens was made by another tokenizer than base's"),
        (smaller_embedding, "has a vocabulary of 64, the model's embedding only 48 rows"),
        (long_sequence, "a sequence of 4096 tokens is longer than the 3300 tokens to train on"),
        (empty_shard, "a-00001.npy: 0 bytes where the manifest says 2800: the shard is damaged"),
        (no_tokens, "train has no source 'long'"),
        (unwritable_runs, "REPO_RUNS is '"),
    ],
)
def test_bad_input_is_one_line_and_loses_nothing(
    spoil: Callable[[Path], None], said: str, project: Path
) -> None:
    spoil(project)
    status = entry.attempt(STAGE, "repo", 42)
    assert status.code == USER_MISTAKE
    assert said in status.line
    assert "\n" not in status.line
    assert MODEL.read_bytes() == b"an earlier result"


def command() -> "subprocess.CompletedProcess[str]":
    """``python -m stages.train`` as a user runs it."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    return subprocess.run(
        [sys.executable, "-m", "stages.train", "--variant", "repo", "--seed", "42"],
        env={**kept, "REPO_CHECKPOINT_STEPS": "3", "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )


def again(folder: Path) -> None:
    """The run in ``folder`` is not finished any more."""
    (folder / "log.jsonl").unlink()
    shutil.rmtree(folder / "final")


@pytest.mark.stress
@pytest.mark.slow
def test_bad_checkpoints_through_the_command(project: Path) -> None:
    done = command()
    assert done.returncode == 0, done.stderr
    assert " of base, 68 fresh (the position maps of layer 1)" in done.stdout
    trained = MODEL.read_bytes()
    folder = project / "runs/train" / runs.key(job(), INPUTS)
    parts = sorted(folder.glob("checkpoints/step-*/rank-00000.safetensors"))
    assert len(parts) == 2

    again(folder)
    flip(parts[-1])
    done = command()
    assert done.returncode == 0, done.stderr
    assert "rank-00000.safetensors is damaged; going back to an earlier one" in done.stdout
    assert MODEL.read_bytes() == trained

    again(folder)
    for part in folder.glob("checkpoints/step-*/rank-00000.safetensors"):
        flip(part)
    refused(folder, "checkpoints are damaged; remove the folder to train from the start", trained)
    for part in folder.glob("checkpoints/step-*/rank-00000.safetensors"):
        flip(part)

    shutil.rmtree(project / "models/base")
    make_base(project / "models/base", width=32)
    other = project / "runs/train" / runs.key(job(), INPUTS)
    shutil.copytree(folder / "checkpoints", other / "checkpoints")
    refused(other, "is of another model: lm_head.weight is [64, 16] there, [64, 32] here", trained)


INPUTS = [Path("models/base"), Path("data/tokens")]


def job() -> Job:
    return Job(STAGE, load(Path("params.yaml")), "repo", 42)


def refused(folder: Path, said: str, trained: bytes) -> None:
    """The command says so in one line, and neither model nor checkpoints are gone."""
    before = sorted(folder.glob("checkpoints/*"))
    done = command()
    assert done.returncode == USER_MISTAKE, done.stdout + done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert said in done.stderr
    assert sorted(folder.glob("checkpoints/*")) == before
    assert MODEL.read_bytes() == trained
