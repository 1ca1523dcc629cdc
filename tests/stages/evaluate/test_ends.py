"""Every token that a model's folder names as an end ends an answer, in every engine."""

import json
from pathlib import Path

import pytest

from stages.evaluate import ends, engine, generate_batch

ENGINES = (engine.generate, engine.by_generate, generate_batch.generate)


@pytest.mark.parametrize("decode", ENGINES)
def test_each_of_several_ends_ends_an_answer(make_model, decode) -> None:
    model, prompts = make_model("rope"), [[5, 6, 7, 8, 9], [40, 41, 42], [90, 7, 30, 31]]
    whole = [row.ids for row in engine.by_generate(model, prompts, 12, 0)]
    marks = (whole[0][3], whole[1][5], 0)
    for row, ids in zip(decode(model, prompts, 12, marks), whole, strict=True):
        places = [place for place, token in enumerate(ids) if token in marks]
        assert row.ids == ids[: places[0]] if places else ids
        assert row.ended == bool(places)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, (7,)),
        ({"config.json": {"eos_token_id": 9}}, (7, 9)),
        ({"generation_config.json": {"eos_token_id": [9, 7, 11]}}, (7, 9, 11)),
        (
            {"generation_config.json": {"eos_token_id": [11]}, "config.json": {"eos_token_id": 9}},
            (7, 11),
        ),
        ({"generation_config.json": {"eos_token_id": None}, "config.json": {}}, (7,)),
        ({"generation_config.json": {"eos_token_id": [True, "x", 8]}}, (7, 8)),
    ],
)
def test_the_ends_of_a_folder(tmp_path: Path, files, expected) -> None:
    for name, content in files.items():
        (tmp_path / name).write_text(json.dumps(content))
    assert ends.of_folder(tmp_path, 7) == expected
