"""A document in parts has the ids of the whole, whatever the tokenizer and the text."""

import random
from pathlib import Path

import pytest

from stages.common.encoder import Encoder
from stages.common.errors import UserError
from stages.tokenize import long_texts
from stages.tokenize.long_texts import parts
from tests.hostile.tokenizers import FILES, TEXTS, save

PIECES = [
    " ", "  ", "\n", "\n\n", "\r\n", "\t", " \n ", "\u3000", "\u2028", "a", "word", "it's", "don't",
    "1", "12345", " 1234567", ".", "...", "?!", "日本語", "größe", "e\u0301", "👩‍👩‍👧", "<|endoftext|>",
    "</s>", "▁", "_", "don’t", "İ", "\x00",
]  # fmt: skip


def texts() -> list[str]:
    """Random texts of hard pieces, prose, one run of digits, one of letters, one of spaces."""
    draw = random.Random(0)
    hard = ["".join(draw.choices(PIECES, k=3000)) for _ in range(4)]
    prose = "".join(TEXTS)
    return [*hard, prose, prose.replace("\n", ""), "1" * 9000, "x" * 9000 + " y", " " * 9000]


@pytest.mark.parametrize("name", sorted(FILES))
def test_parts_have_the_ids_of_the_whole(name: str, tmp_path: Path) -> None:
    encoder = Encoder(save(FILES[name](), tmp_path))
    cuts = 0
    for text in texts():
        found = list(parts(text, encoder, part=500))
        assert "".join(found) == text
        ids = [token for encoding in encoder.batch(found) for token in encoding.ids]
        assert ids == encoder.ids(text)
        cuts += len(found) - 1
    assert (cuts > 20) == encoder.splits


def test_parts_of_the_official_tokenizer(shared: Path) -> None:
    encoder = Encoder(shared / "data/dolma2_tokenizer")
    for text in texts():
        found = list(parts(text, encoder, part=500))
        assert [i for e in encoder.batch(found) for i in e.ids] == encoder.ids(text)


def test_a_text_without_a_place_to_cut_has_a_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = Encoder(save(FILES["no pre-tokenizer"](), tmp_path))
    monkeypatch.setattr(long_texts, "WHOLE", 5000)
    assert list(parts("ab " * 1500, encoder, part=500)) == ["ab " * 1500]
    with pytest.raises(UserError, match=r"6,000 characters .*split the document"):
        list(parts("ab " * 2000, encoder, part=500))
