"""A small tokenizer of RULER's own words, and cells to draw samples from."""

from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from stages.benchmarks import templates
from stages.benchmarks.draft import Cell
from stages.benchmarks.haystack import Prose
from stages.benchmarks.params import RulerParams
from stages.benchmarks.ruler import TASKS
from stages.benchmarks.words import Words
from stages.common.encoder import Encoder

OFFICIAL: dict[str, Any] = {
    "tasks": list(TASKS),
    "samples": 500,
    "new_tokens": dict.fromkeys(TASKS, 128) | {"vt": 30, "cwe": 120, "fwe": 50},
    "value_digits": 7,
    "word_tokens": None,
    "prose": "generated",
    "steps": {"lines": 25, "prose": 500, "assignments": 10, "words": 10},
    "vt": {"chains": 1, "hops": 4, "name_letters": 5, "value_digits": 5, "example_tokens": 500},
    "cwe": {"common": 10, "repeats": [30, 3], "example": {"words": 40, "repeats": [10, 3]}},
    "short": {
        "below": 4096,
        "steps": {"lines": 5, "prose": 500, "assignments": 5, "words": 10},
        "cwe": {"common": 10, "repeats": [6, 1], "example": {"words": 20, "repeats": [3, 1]}},
    },
}
"""RULER's own numbers."""

SCALED: dict[str, Any] = {
    "tasks": list(TASKS),
    "samples": 12,
    "new_tokens": dict.fromkeys(TASKS, 8),
    "value_digits": 4,
    "word_tokens": 4,
    "prose": "generated",
    "steps": {"lines": 1, "prose": 4, "assignments": 1, "words": 1},
    "vt": {"chains": 2, "hops": 1, "name_letters": 3, "value_digits": 4, "example_tokens": None},
    "cwe": {"common": 3, "repeats": [4, 1], "example": None},
}


@pytest.fixture(scope="session")
def tokenizer_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=600,
        special_tokens=["<|endoftext|>", "<|pad|>"],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    words = Words(len, None)
    texts = [*templates.NIAH, *templates.TRACKING, *templates.COMMON_WORDS, templates.NOISE]
    texts += Prose("generated", words).sentences(3000, Random(0))
    tokenizer.train_from_iterator(texts, trainer)
    folder = tmp_path_factory.mktemp("tokenizer")
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


@pytest.fixture(scope="session")
def encoder(tokenizer_folder: Path) -> Encoder:
    return Encoder(tokenizer_folder)


MakeCell = Callable[..., Cell]


@pytest.fixture(scope="session")
def make_cell(encoder: Encoder) -> MakeCell:
    """A cell of the scaled settings; keywords change the settings."""

    def make(task: str, length: int, seed: int = 1, base: Any = SCALED, **changed: Any) -> Cell:
        params = RulerParams.model_validate(base | changed)
        words = Words(encoder.count, params.word_tokens)
        return Cell(task, length, params, seed, encoder, words, Prose(params.prose, words))

    return make


@pytest.fixture(scope="session")
def official() -> dict[str, Any]:
    return OFFICIAL
