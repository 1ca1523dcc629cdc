"""Ids depend on no accident of a tokenizer's file, and text stays text."""

from pathlib import Path

import pytest
from tokenizers import Tokenizer

from stages.common.encoder import Encoder
from tests.hostile.tokenizers import FILES, TEXTS, byte_level, save

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
