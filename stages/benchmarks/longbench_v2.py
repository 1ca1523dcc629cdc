"""LongBench v2: questions with four choices over long texts, from the benchmark's own data.json.

Read from THUDM/LongBench@2e00731 (MIT) ``pred.py``, ``result.py`` and ``prompts/0shot.txt``: the prompt
without a chain of thought, the cut of its middle, how an answer is found, 128 new tokens. The rows are
those of THUDM/LongBench-v2 (its licence is its own: look there): 503, of 8,000 to 2 M words.
"""

from collections.abc import Iterator
from functools import lru_cache
from importlib.resources import files as package_files
from pathlib import Path
from typing import Any

import orjson

from stages.benchmarks.asked import Asked, Place, Style, record
from stages.benchmarks.params import LongBenchV2Params
from stages.common.encoder import Encoder
from stages.common.errors import UserError
from stages.common.files import sha256

SUITE = "longbench_v2"
TASK = "choices"
METRIC = "choice"
DIFFICULTIES, SIZES = ("easy", "hard"), ("short", "medium", "long")
GROUPS = (*DIFFICULTIES, *SIZES)
"""What ``result.py`` tells apart, in its order."""
_NEW_TOKENS = 128
_FIELDS = ("_id", "domain", "sub_domain", "difficulty", "length", "question", "choice_A", "choice_B",
           "choice_C", "choice_D", "answer", "context")  # fmt: skip
_SHOWN = 1000
"""Letters of the context that ``pred.py`` keeps in its file."""


def files(params: LongBenchV2Params) -> list[Path]:
    """The questions' file: ``path`` itself, or data.json in it."""
    path = Path(params.path)
    found = path / "data.json" if path.is_dir() else path
    if not found.is_file():
        raise UserError(
            f"benchmarks.longbench_v2.path is {params.path!r}: no data.json there; give that of "
            "THUDM/LongBench-v2, or its folder"
        )
    return [found]


def digest(params: LongBenchV2Params) -> str:
    """Hash of the questions' file."""
    return sha256(files(params)[0])


def tasks(params: LongBenchV2Params) -> list[str]:
    """There is one."""
    return [TASK]


def samples(
    params: LongBenchV2Params, task: str, length: int, encoder: Encoder, reserved: int = 0
) -> Iterator[dict[str, Any]]:
    """The questions in the file's order, cut in the middle to ``length`` tokens with their budget."""
    how = Style(metric=METRIC, max_new_tokens=params.new_tokens or _NEW_TOKENS)
    place = Place(SUITE, task, length, reserved)
    for index, row in enumerate(rows(params)):
        prompt = filled(row)
        more = {
            "groups": [row["difficulty"], row["length"]],
            "row": {**row, "context": row["context"][:_SHOWN]},
        }
        question = prompt[prompt.rindex("</text>") :]
        asked = Asked(prompt, question, (row["answer"],), 0.25, more)
        yield record(place, index, asked, how, encoder, params.max_length)


def filled(row: dict[str, str]) -> str:
    """The official prompt, its marks replaced one after the other, as ``pred.py`` does it.

    So a mark that stands in the text is replaced too: kept.
    """
    prompt = _template()
    marks = {"$DOC$": "context", "$Q$": "question"}
    marks |= {f"$C_{letter}$": f"choice_{letter}" for letter in "ABCD"}
    for mark, field in marks.items():
        prompt = prompt.replace(mark, row[field].strip())
    return prompt


@lru_cache(maxsize=1)
def _template() -> str:
    folder = package_files("stages.benchmarks") / "data" / "longbench_v2"
    return (folder / "0shot.txt").read_text(encoding="utf-8")


def rows(params: LongBenchV2Params) -> list[dict[str, str]]:
    """The rows that are wanted; raises ``UserError`` at the first that is no question."""
    (file,) = files(params)
    try:
        content = orjson.loads(
            file.read_bytes()
        )  # half a GB: a third of the time and memory of json
    except ValueError as error:  # also a lone surrogate
        raise UserError(f"{file}: not JSON in UTF-8 ({error})") from None
    if not isinstance(content, list) or not content:
        raise UserError(f"{file}: no list of questions, as LongBench v2's data.json is")
    found = content[: params.samples]
    for number, row in enumerate(found, start=1):
        where = f"{file} row {number}"
        for field in _FIELDS:
            if not isinstance(row, dict) or not isinstance(row.get(field), str):
                raise UserError(f"{where}: no text {field!r} in it")
        for field, known in (
            ("answer", tuple("ABCD")),
            ("difficulty", DIFFICULTIES),
            ("length", SIZES),
        ):
            if row[field] not in known:
                raise UserError(f"{where}: {field} is {row[field]!r}; known are {', '.join(known)}")
    return [{field: row[field] for field in _FIELDS} for row in found]
