"""RULER's own generated files as samples: ``--data FOLDER``, or ``benchmarks.ruler.data``.

NVIDIA/RULER's ``prepare.py`` writes ``<length>/data/<task>/validation.jsonl``; found is also
``<task>/validation.jsonl`` (the ``data`` folder itself), ``<task>.jsonl`` (what
``repo-pipeline samples`` writes), and ``test`` in the place of ``validation``. A line has ``input``,
``outputs`` (older files: ``output``), and since 48cbc8b ``answer_prefix``; before that the prefix was
the end of ``input``, where it stays.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

from stages.benchmarks.draft import Cell, Draft, styled
from stages.common.errors import UserError
from stages.common.jsonl import objects, text, texts

SUBSETS = ("validation", "test")
NUMBER = re.compile("[1-9][0-9]{0,8}")
LEAST = 16
"""Tokens of the shortest length."""
LOOKED = 20
"""Rows that a plan reads: at 128K tokens a row is half a megabyte, and there are 13 files a length."""
SHOWN = 3
"""Files that a line names."""
FULL = "give a file with rows, or leave its task out"
PACKED = (".gz", ".zst", ".bz2", ".xz", ".zip")


def find(folder: Path, task: str, length: int | None = None) -> Path | None:
    """A task's file; in a folder of a length, where there is one of that name."""
    roots = [] if length is None else [folder / f"{length}" / "data", folder / f"{length}"]
    for root in (*roots, folder / "data", folder):
        for file in (
            *(root / task / f"{subset}.jsonl" for subset in SUBSETS),
            root / f"{task}.jsonl",
        ):
            if file.is_file():
                return file
    return None


def lengths(folder: Path) -> list[int]:
    """Lengths that have a folder of their own with a file of a task in it."""
    if not folder.is_dir():
        return []
    return sorted(
        int(each.name)
        for each in folder.iterdir()
        if NUMBER.fullmatch(each.name) and int(each.name) >= LEAST and _has_files(each)
    )


def _has_files(folder: Path) -> bool:
    names = [f"*/{subset}.jsonl" for subset in SUBSETS]
    rooms = (folder / "data", folder)
    found = (f for room in rooms for name in (*names, "*.jsonl") for f in room.glob(name))
    return any(file.is_file() for file in found)


def longest(file: Path) -> int | None:
    """The most tokens of a row, prompt and budget, by NVIDIA's own count; none where it is missing."""
    found = [row.get("length") for _, row in objects(file)]
    known = [length for length in found if type(length) is int and length > 0]
    return max(known) if len(known) == len(found) and known else None


def file_of(folder: str, task: str, length: int) -> Path:
    """A task's file; ``UserError`` without one."""
    found = find(Path(folder), task, length)
    if found is None:
        if packed := _packed(Path(folder), task, length):
            raise UserError(
                f"benchmarks.ruler.data is {folder!r}: {packed} is compressed; unpack it"
            )
        raise UserError(
            f"benchmarks.ruler.data is {folder!r}: neither {task}/validation.jsonl nor {task}.jsonl "
            f"in it or in {length}/data; leave the task out, or give RULER's data folder"
        )
    return found


def refuse_shared(folder: str, cells: Iterable[tuple[str, int]]) -> None:
    """Raise ``UserError`` for a file that two lengths would read: the same prompts, two times."""
    known: dict[Path, int] = {}
    for task, length in cells:
        file = file_of(folder, task, length)
        if (other := known.setdefault(file, length)) != length:
            raise UserError(
                f"{file} would be read at {other} and at {length} tokens, the same prompts; name one "
                "length, or give each a folder LENGTH/data"
            )


def rows_in(file: Path) -> int:
    """Samples of a file that was written here."""
    with open(file, "rb") as lines:
        return sum(1 for _ in lines)


def fewer(rows: Mapping[str, int], asked: Mapping[str, int]) -> str | None:
    """One line on files with fewer rows than the samples asked for; none: all have enough."""
    short = [f"{name} {n:,} of {asked[name]:,}" for name, n in rows.items() if n < asked[name]]
    if not short:
        return None
    more = f", … {len(short)} files" if len(short) > SHOWN else ""
    return (
        f"fewer rows than samples were asked for: {', '.join(short[:SHOWN])}{more}; all are taken"
    )


def look(folder: str, task: str, length: int) -> list[Draft]:
    """The first rows of a task's file; ``UserError`` for what ``drafts`` would refuse there."""
    file = file_of(folder, task, length)
    rows = list(islice(objects(file), LOOKED))
    if not rows:
        raise UserError(f"{file}: no rows in it; {FULL}")
    return [_draft(file, number, row) for number, row in rows]


def _packed(folder: Path, task: str, length: int) -> str | None:
    """A task's file that only lacks its unpacking, as seen from the folder."""
    for root in (f"{length}/data/", f"{length}/", "data/", ""):
        for name in (*(f"{task}/{subset}.jsonl" for subset in SUBSETS), f"{task}.jsonl"):
            for end in PACKED:
                if (folder / f"{root}{name}{end}").is_file():
                    return f"{root}{name}{end}"
    return None


def drafts(cell: Cell, count: int) -> Iterator[Draft]:
    """The first ``count`` rows of the cell's file; one that does not fit the length is refused."""
    assert cell.params.data is not None
    file = file_of(cell.params.data, cell.task, cell.length)
    rows = _rows(file)
    if not rows:
        raise UserError(f"{file}: no rows in it; {FULL}")
    for number, row in rows[:count]:
        draft = styled(cell, _draft(file, number, row))
        tokens = cell.encoder.count(draft.prompt)
        if tokens > cell.room:
            raise UserError(
                f"{file} line {number}: {tokens} tokens of prompt, {cell.budget} of answer and "
                f"{cell.reserved} of template are more than {cell.length}; the file was made for "
                "another length, tokenizer or template: give a longer length"
            )
        yield draft


@lru_cache(maxsize=1)
def _rows(file: Path) -> list[tuple[int, dict[str, Any]]]:
    return list(objects(file))


def _draft(file: Path, number: int, row: dict[str, Any]) -> Draft:
    if "outputs" not in row and "output" in row:
        row = {**row, "outputs": [row["output"]]}
    answers = texts(file, number, row, "outputs")
    if not answers:
        raise UserError(f"{file} line {number}: 'outputs' is empty; a reference is needed")
    whole = text(file, number, row, "input")
    prefix = text(file, number, row, "answer_prefix") if "answer_prefix" in row else ""
    # Every template of RULER's ends with its question, on a line of its own.
    end = whole.rfind("\n") if "\n" in whole else len(whole)
    return Draft(
        head="",
        context=whole[:end],
        tail=whole[end:],
        prefix=prefix,
        answers=tuple(answers),
        candidates=(),
    )
