"""Small inputs for the stages' tests."""

import json
from pathlib import Path

import numpy as np
import pytest

from stages.common.tokens import DTYPE
from stages.training.params import TrainingParams

VOCABULARY = 64


@pytest.fixture
def tokens(tmp_path: Path) -> Path:
    """A token folder: 3 shards of a learnable sequence to train on, one to validate."""
    return make_tokens(tmp_path / "data" / "tokens")


def make_tokens(folder: Path, vocabulary: int = VOCABULARY) -> Path:
    """Write shards in which each id mostly follows from the one before."""
    draw = np.random.default_rng(0)
    shards = []
    for split, name, count in (
        ("train", "train/a-00000", 1500),
        ("train", "train/a-00001", 700),
        ("train", "train/b-00000", 1100),
        ("validation", "validation/a-00000", 600),
    ):
        steps = np.where(draw.random(count) < 0.9, 3, draw.integers(0, vocabulary, count))
        ids = (np.cumsum(steps) % vocabulary).astype(DTYPE)
        file = folder / f"{name}.npy"
        file.parent.mkdir(parents=True, exist_ok=True)
        ids.tofile(file)
        shards.append(
            {
                "split": split,
                "source": Path(name).name.partition("-")[0],
                "file": f"{name}.npy",
                "tokens": count,
            }
        )
    manifest = {"vocab_size": vocabulary, "eos_id": 0, "shards": shards}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


@pytest.fixture
def training_params() -> TrainingParams:
    """Twelve steps in two phases of length."""
    return TrainingParams(
        tokens=12 * 128,
        batch_tokens=128,
        lengths=({"length": 16, "share": 0.5}, {"length": 32, "share": 0.5}),
        lr=1e-2,
        betas=(0.9, 0.95),
        eps=1e-8,
        weight_decay=0.1,
        grad_clip=1.0,
        z_loss=1e-4,
        warmup_steps=2,
        decay_share=0.5,
        precision="fp32",
    )
