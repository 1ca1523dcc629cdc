"""HybridQA's official folder as samples: the table in the prompt, errors with their place."""

import json
from pathlib import Path
from typing import Any

import pytest

from stages.benchmarks import hybridqa
from stages.benchmarks.params import HybridQAParams
from stages.common.encoder import Encoder
from stages.common.errors import UserError
from stages.evaluate.answers import prediction
from stages.evaluate.scorers import score

TABLE = {
    "url": "https://example.org/mills",
    "title": "Mills of Denby",
    "section_title": "Water mills",
    "header": [["Name", []], ["Built", []]],
    "data": [
        [["Old\nMill", ["/wiki/Old_Mill"]], ["1801 {x}", []]],
        [[["New", "Mill"], [None, None]], ["1902", []]],  # a cell of the older copies
    ],
}
ROWS = [
    {"question": "When was the Old Mill built?", "answer-text": "1801", "where": "table"},
    {"question": "Who built it?", "answer-text": "Ada", "where": "passage"},
    {"question": "Which mill is of 1902?", "answer-text": "the New Mill", "where": "table"},
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "HybridQA"
    (root / "released_data").mkdir(parents=True)
    tables = root / "WikiTables-WithLinks" / "tables_tok"
    tables.mkdir(parents=True)
    (tables / "Mills_0.json").write_text(json.dumps(TABLE))
    write(root, ROWS)
    return root


def write(root: Path, rows: list[Any]) -> None:
    rows = [{"table_id": "Mills_0", **row} if isinstance(row, dict) else row for row in rows]
    (root / "released_data" / "dev.json").write_text(json.dumps(rows))
    hybridqa._wanted.cache_clear()
    hybridqa._written.cache_clear()


def params(folder: Path, **changed: Any) -> HybridQAParams:
    return HybridQAParams.model_validate({"path": str(folder), **changed})


def test_the_table_stands_in_the_prompt(folder: Path, encoder: Encoder) -> None:
    first, second = hybridqa.samples(params(folder), "tables", 512, encoder)
    assert first["input"] == (
        "Write a high-quality answer for the given question using only the provided table.\n\n"
        "Mills of Denby - Water mills\n| Name | Built |\n| Old Mill | 1801 {x} |\n"
        "| New, Mill | 1902 |\n\nQuestion: When was the Old Mill built?\nAnswer:"
    )
    assert first["prompt_ids"] == encoder.ids(first["input"])
    assert (first["id"], second["id"]) == ("tables-512-0000", "tables-512-0001")
    assert (first["outputs"], second["outputs"]) == (["1801"], ["the New Mill"])
    assert first["max_new_tokens"] == 32
    assert not first["truncated"]


def test_the_protocols_score_otherwise(folder: Path, encoder: Encoder) -> None:
    for protocol, metric in (("nvidia", "qa_f1"), ("repo-paper", "normalised_substring")):
        _, row = hybridqa.samples(params(folder, protocol=protocol), "tables", 512, encoder)
        assert row["metric"] == metric
        assert score(row, prediction(row, " The New Mill.\nQuestion: 1801?")) == 1.0
        assert score(row, prediction(row, "1801\nNew Mill")) == 0.0
        assert score(row, prediction(row, "")) == 0.0
    long = " It was the new mill that stood there"
    assert score(row, prediction(row, long)) == 1.0  # the paper's: it stands somewhere in it


def test_a_long_table_is_cut_and_the_question_kept(folder: Path, encoder: Encoder) -> None:
    file = folder / "WikiTables-WithLinks" / "tables_tok" / "Mills_0.json"
    file.write_text(json.dumps(TABLE | {"data": TABLE["data"] * 60}))
    hybridqa._written.cache_clear()
    for row in hybridqa.samples(params(folder), "tables", 256, encoder):
        assert row["truncated"]
        assert len(row["prompt_ids"]) + 32 <= 256
        assert row["input"].endswith("\nAnswer:")
        assert row["input"].startswith("Write a high-quality answer")


def test_questions_are_chosen(folder: Path, encoder: Encoder) -> None:
    assert len(list(hybridqa.samples(params(folder, samples=1), "tables", 512, encoder))) == 1
    passages = params(folder, where=["passage", "table"])
    assert len(list(hybridqa.samples(passages, "tables", 512, encoder))) == 3
    with pytest.raises(UserError, match="no question with its answer in calculation"):
        hybridqa.files(params(folder, where=["calculation"]))


def test_the_hash_is_of_questions_and_tables(folder: Path) -> None:
    before = hybridqa.digest(params(folder))
    assert [file.name for file in hybridqa.files(params(folder))] == ["dev.json", "Mills_0.json"]
    file = folder / "WikiTables-WithLinks" / "tables_tok" / "Mills_0.json"
    file.write_text(json.dumps(TABLE | {"title": "Mills"}))
    assert hybridqa.digest(params(folder)) != before


def test_mistakes_are_named(folder: Path, encoder: Encoder) -> None:
    def fails(match: str, where: Path = folder) -> None:
        with pytest.raises(UserError, match=match) as error:
            list(hybridqa.samples(params(where), "tables", 512, encoder))
        assert "\n" not in str(error.value)

    fails("hybridqa.path is 'nowhere': no such folder", Path("nowhere"))
    fails(r"no released_data/dev\.json in it", folder / "released_data")
    write(folder, [ROWS[0], {"question": "Who?", "where": "table"}])
    fails(r"dev\.json row 2: no text 'answer-text' in it")
    write(folder, [ROWS[0] | {"table_id": None}])
    fails(r"dev\.json row 1: no 'table_id' in it")
    write(folder, [ROWS[0] | {"table_id": 7}])
    fails(r"7\.json: no such table; clone wenhuchen/WikiTables-WithLinks")
    write(folder, ROWS)
    tables = folder / "WikiTables-WithLinks" / "tables_tok"
    (tables / "Mills_0.json").write_text(json.dumps({"title": "Mills", "header": []}))
    fails(r"Mills_0\.json: not in HybridQA's layout \(KeyError\('data'\)")
    (folder / "released_data" / "dev.json").write_text("[\n{oops")
    hybridqa._wanted.cache_clear()
    fails(r"dev\.json line 2: not JSON")
