"""Ids depend on no accident of a tokenizer's file, and text stays text."""

import json
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from stages.common.encoder import Encoder
from stages.common.errors import UserError
from stages.evaluate.hub import tokenizer_folder
from stages.tokenizer import check
from stages.tokenizer.stage import fetch
from tests.hostile.tokenizers import CL100K, FILES, TEXTS, byte_level, save, split_by

LONG = " ".join(TEXTS)


@pytest.fixture(params=sorted(FILES))
def encoder(request: pytest.FixtureRequest, tmp_path: Path) -> Encoder:
    return Encoder(save(FILES[request.param](), tmp_path))


def test_every_way_of_encoding_gives_the_same_ids(encoder: Encoder) -> None:
    texts = [LONG, TEXTS[0], "a", ""]
    expected = [encoder.ids(text) for text in texts]
    assert [list(e.ids) for e in encoder.batch(texts)] == expected
    assert [encoder.count(text) for text in texts] == [len(ids) for ids in expected]
    assert [encoder.locate(text).ids for text in texts] == expected
    assert len(expected[0]) > 1000  # nothing cut off
    assert len(expected[2]) <= 2  # nothing filled up
    assert Encoder(encoder.folder).ids(LONG) == expected[0]  # and nothing drawn by chance


def test_a_control_string_in_a_text_is_text(encoder: Encoder) -> None:
    text = "see <|endoftext|> here"
    eos = encoder.eos_id()
    assert eos not in encoder.ids(text)
    assert eos not in encoder.batch([text, LONG])[0].ids
    assert encoder.control_strings(text * 2) == 2
    assert encoder.control_strings(LONG) == 0


@pytest.mark.parametrize(
    "name", ["truncation and padding", "eos as an ordinary token", "bpe dropout"]
)
def test_the_ids_are_those_of_the_plain_file(name: str, tmp_path: Path) -> None:
    plain = byte_level()
    expected = plain.encode(LONG, add_special_tokens=False).ids
    assert Encoder(save(FILES[name](), tmp_path)).ids(LONG) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("opening", ["<s>"]),
        ("opening and closing", ["<s>"]),
        ("closing alone", []),
        ("unigram", []),
    ],
)
def test_the_opening_is_what_stands_before_a_text(
    name: str, expected: list[str], tmp_path: Path
) -> None:
    encoder = Encoder(save(FILES[name](), tmp_path))
    tokenizer = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    assert encoder.opening() == [tokenizer.token_to_id(token) for token in expected]


def published(folder: Path, family: str, **settings: object) -> Path:
    """A model's folder whose tokenizer has pieces that no class of transformers has."""
    save(byte_level(split_by(CL100K)), folder)
    (folder / "config.json").write_text(json.dumps({"model_type": family}))
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return folder


@pytest.mark.parametrize(
    ("family", "name"),
    [
        ("llama", "GPT2Tokenizer"),  # SmolLM2, whose digits stand alone
        ("llama", "GPTNeoXTokenizerFast"),
        ("qwen2", "PreTrainedTokenizerFast"),  # an own tokenizer, in Qwen2's architecture
        ("qwen3", "Qwen2Tokenizer"),
        ("smollm3", "GPT2Tokenizer"),
    ],
)
def test_a_fetched_tokenizer_gives_its_files_ids(family: str, name: str, tmp_path: Path) -> None:
    """transformers' own classes would build it anew with other pieces."""
    end = "<|endoftext|>"
    folder = published(tmp_path / "in", family, tokenizer_class=name, eos_token=end)
    fetch(str(folder), None).save_pretrained(tmp_path / "out")
    theirs, ours = Encoder(folder), Encoder(tmp_path / "out")
    for text in (LONG, "12345\n\n\tx", " É é", f"see {end}"):
        assert ours.ids(text) == theirs.ids(text)
    assert ours.eos_id() == theirs.eos_id()


def test_an_end_that_only_the_class_names_is_taken(tmp_path: Path) -> None:
    folder = published(tmp_path / "in", "gpt2", model_max_length=1024)
    assert fetch(str(folder), None).eos_token == "<|endoftext|>"


@pytest.mark.parametrize(
    "settings",
    [
        {"eos_token": ["<|endoftext|>"]},
        {"eos_token": 0},
        {"tokenizer_class": "PreTrainedTokenizerFast"},
        {"auto_map": {"AutoTokenizer": ["own.Own", None]}, "tokenizer_class": "Own"},
    ],
)
def test_settings_without_an_end_are_one_line(settings: dict[str, object], tmp_path: Path) -> None:
    folder = published(tmp_path / "in", "llama", **settings)
    with pytest.raises(UserError, match=r"^tokenizer\.source is .*$"):
        fetch(str(folder), None)


BESIDE: dict[str, dict[str, object]] = {
    "added_tokens.json": {"added_tokens.json": {"<tool>": 400, "<im_end>": 401}},
    "a decoder": {"tokenizer_config.json": {"eos_token": "<|endoftext|>", "added_tokens_decoder": {
        "400": {"content": "<tool>", "special": False}, "401": {"content": "<im_end>", "special": True},
    }}},
    "a new control token": {"special_tokens_map.json": {"pad_token": "<im_end>"}},
    "nothing": {},
}  # fmt: skip


@pytest.mark.parametrize("name", BESIDE)
def test_tokens_beside_the_file_have_the_same_ids_in_training_and_evaluation(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REPO_RUNS", str(tmp_path / "runs"))
    folder = save(byte_level(), tmp_path / "in")
    for file, content in BESIDE[name].items():
        (folder / file).write_text(json.dumps(content))
    fetch(str(folder), None).save_pretrained(tmp_path / "out")
    trained, evaluated = Encoder(tmp_path / "out"), Encoder(tokenizer_folder(folder))
    for text in ("a<tool>b<im_end> c", LONG):
        assert evaluated.ids(text) == trained.ids(text)
    assert evaluated.ids_end == trained.ids_end and evaluated.eos_id() == trained.eos_id()
    assert (evaluated.folder == folder) == (name == "nothing")


@pytest.mark.parametrize(
    ("config", "settings"),
    [
        ({}, {}),
        ({"model_type": "llama"}, {}),
        ({"model_type": "gpt2"}, {"tokenizer_class": "PreTrainedTokenizerFast"}),
        ({"model_type": "gpt2"}, {"eos_token": None}),
    ],
)
def test_plan_says_that_there_is_no_end(
    config: dict[str, object], settings: dict[str, object], tmp_path: Path
) -> None:
    folder = save(byte_level(), tmp_path / "in")
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    (line,) = [one.line for one in check._files(str(folder), folder)]
    assert line.startswith("tokenizer.source is ") and "eos" in line
