"""HybridQA's questions over tables, from the official local layout.

Read from wenhuchen/HybridQA (README, ``released_data/README.md``, ``preprocessing.py``, ``dev.json``)
and wenhuchen/WikiTables-WithLinks (README, a table): the folder of HybridQA with
``released_data/dev.json`` (question, answer-text, table_id, where) and, cloned into it,
``WikiTables-WithLinks/tables_tok/<table_id>.json`` (title, section_title, header, data; a cell is
``[text, links]``, in older copies ``[[texts], links]``). ``test.json`` holds no answers.

The paper's tools (SakanaAI/repo ``hybridqa.py`` at 66234ce) take finished prompts from a data set on
the hub that could not be read: which questions are its 880, and its prompt's words, are unknown. The
prompt here is that of the same tools' other table task; a table is written with ``|`` between cells,
the title above it. Linked passages are left out, so by default only questions are asked whose answer
stands in the table. Figures are comparable between models here, not with the paper's to the digit.
"""

import hashlib
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from stages.benchmarks.asked import Asked, Place, Style, record
from stages.benchmarks.params import HybridQAParams
from stages.common.encoder import Encoder
from stages.common.errors import UserError
from stages.common.files import read_json, sha256

SUITE = "hybridqa"
TASK = "tables"
_PROMPT = (
    "Write a high-quality answer for the given question using only the provided table.\n\n{table}"
)
_QUESTION = "\n\nQuestion: {question}\nAnswer:"
_NEW_TOKENS = 32


def metric(protocol: str) -> str:
    """Name of the scorer: F1 of SQuAD's words, as the official script, or the paper's substring."""
    return "normalised_substring" if protocol == "repo-paper" else "qa_f1"


def style(params: HybridQAParams) -> Style:
    """Answers are one line; the paper's tools end at the first newline, even an early one."""
    paper = params.protocol == "repo-paper"
    return Style(
        metric=metric(params.protocol),
        max_new_tokens=params.new_tokens or _NEW_TOKENS,
        ends_at_newline=True,
        first_line=not paper,
    )


def files(params: HybridQAParams) -> list[Path]:
    """The questions' file and the tables of those that are wanted."""
    tables = dict.fromkeys(_table(params, row) for _, row in _wanted(params))
    return [_questions(params), *tables]


def digest(params: HybridQAParams) -> str:
    """Hash of all ``files``."""
    lines = (f"{file.name} {sha256(file)}\n" for file in files(params))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def samples(
    params: HybridQAParams, task: str, length: int, encoder: Encoder, reserved: int = 0
) -> Iterator[dict[str, Any]]:
    """The wanted questions in the file's order, at most ``length`` tokens with their budget."""
    place, how = Place(SUITE, task, length, reserved), style(params)
    for index, (_, row) in enumerate(_wanted(params)):
        question = _QUESTION.format(question=row["question"])
        table = _written(_table(params, row))
        asked = Asked(_PROMPT.format(table=table) + question, question, (row["answer-text"],))
        yield record(place, index, asked, how, encoder)


def _questions(params: HybridQAParams) -> Path:
    folder = Path(params.path)
    if not folder.is_dir():
        raise UserError(f"benchmarks.hybridqa.path is {params.path!r}: no such folder")
    found = folder / "released_data" / "dev.json"
    if not found.is_file():
        raise UserError(
            f"benchmarks.hybridqa.path is {params.path!r}: no released_data/dev.json in it; give the "
            "folder of the repository wenhuchen/HybridQA"
        )
    return found


@lru_cache(maxsize=2)
def _wanted(params: HybridQAParams) -> tuple[tuple[str, dict[str, Any]], ...]:
    """Questions whose answer stands where it shall, with the words that name their place."""
    source = _questions(params)
    rows = read_json(source)
    if not isinstance(rows, list):
        raise UserError(f"{source}: not a list of questions, as HybridQA's JSON is")
    found = []
    for number, row in enumerate(rows, start=1):
        where = f"{source} row {number}"
        for key in ("question", "answer-text", "where"):
            if not isinstance(row, dict) or not isinstance(row.get(key), str):
                raise UserError(f"{where}: no text {key!r} in it")
        if not isinstance(row.get("table_id"), str | int):
            raise UserError(f"{where}: no 'table_id' in it")
        if row["where"] in params.where:
            found.append((where, row))
    if not found:
        raise UserError(f"{source}: no question with its answer in {', '.join(params.where)}")
    return tuple(found[: params.samples])


def _table(params: HybridQAParams, row: dict[str, Any]) -> Path:
    tables = Path(params.path) / "WikiTables-WithLinks" / "tables_tok"
    found = tables / f"{row['table_id']}.json"
    if not found.is_file():
        raise UserError(
            f"{found}: no such table; clone wenhuchen/WikiTables-WithLinks into {params.path}"
        )
    return found


@lru_cache(maxsize=256)
def _written(file: Path) -> str:
    content = read_json(file)
    try:
        title = " - ".join(filter(None, (content["title"], content.get("section_title"))))
        lines = [content["header"], *content["data"]]
        return "\n".join([title, *("| " + " | ".join(map(_cell, line)) + " |" for line in lines)])
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        raise UserError(
            f"{file}: not in HybridQA's layout ({error!r} is missing or of another kind)"
        ) from None


def _cell(cell: Any) -> str:
    text = cell[0] if isinstance(cell[0], str) else ", ".join(cell[0])
    return " ".join(text.split())
