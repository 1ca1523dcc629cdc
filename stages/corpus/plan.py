"""Documents in local files are read where they are: the plan that says which rows are which part.

``data/corpus/reading/<source>.json`` has the files, the rule by which rows are taken and held out, and
parts of about 64 MiB of text, each with the hash of its documents in each split. ``tokenize`` reads
the parts from the files themselves; other documents than those of the plan are an error.
"""

import hashlib
import os
import urllib.parse
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import orjson

from stages.common.errors import UserError
from stages.common.files import read_json, read_jsonl, sha256
from stages.corpus import external
from stages.corpus.external import Cursor, Reading
from stages.corpus.params import CorpusParams
from stages.corpus.reading.found import DataFile
from stages.corpus.splits import SPLITS, splits

FOLDER = "reading"
"""In the corpus."""
_TOGETHER = 8
"""Parts of a packed file that one task takes: half a GB of text, some minutes of a core."""
_SAFE = "".join(map(chr, range(32, 127))).replace("%", "")


def line(text: str) -> bytes:
    """A document as the corpus holds it, and as its hash takes it."""
    return orjson.dumps({"text": text}) + b"\n"


def written(params: CorpusParams, source: str, states: Sequence[Mapping[str, Any]]) -> Any:
    """The plan of a source, of the states that its parts left."""
    one = external.reading(params, source)
    return {
        "source": source,
        "reading": {
            "key": one.key,
            "path": one.path,
            "text_field": one.text_field,
            "on_bad_row": one.on_bad_row,
        },
        "seed": params.seed,
        "validation_share": params.validation_share,
        "files": [
            # A name may be in any encoding, and JSON is UTF-8.
            {"path": urllib.parse.quote_from_bytes(os.fsencode(f.path), _SAFE), "kind": f.kind}
            for f in external.files(one)
        ],
        "parts": [dict(state["part"]) for state in states],
    }


def name(source: str, number: int, split: str) -> Path:
    """Of a part's documents, as their file in the corpus would be called if there were one."""
    return Path(split) / f"{source}-{number:05d}.jsonl"


def digests(corpus: Path) -> dict[Path, str]:
    """Name -> SHA-256 of all documents, in files of the corpus or where they are read."""
    found = {
        f.relative_to(corpus): sha256(f)
        for split in SPLITS
        for f in (corpus / split).glob("*.jsonl")
    }
    for source, plan in plans(corpus).items():
        for number, part in enumerate(plan["parts"]):
            found |= {name(source, number, split): part[split]["sha256"] for split in SPLITS}
    return dict(sorted(found.items()))


def plans(corpus: Path) -> dict[str, dict[str, Any]]:
    """Source -> its plan."""
    return {file.stem: read_json(file) for file in sorted((corpus / FOLDER).glob("*.json"))}


def groups(plan: Mapping[str, Any]) -> list[list[int]]:
    """Parts that one reader takes: some inside one file in which no place can be sought.

    A reader passes over what is before its first part: unpacking is cheaper than to leave cores idle.
    """
    found: list[list[int]] = []
    for number, part in enumerate(plan["parts"]):
        begin = Cursor(*part["begin"])
        before = found and Cursor(*plan["parts"][found[-1][-1]]["begin"])
        sought = begin.rows == 0 or begin.offset or plan["files"][begin.file]["kind"] == "parquet"
        inside = before and before.file == begin.file and not sought
        if inside and len(found[-1]) < _TOGETHER:
            found[-1].append(number)
        else:
            found.append([number])
    return found


def texts(
    root: Path, plan: Mapping[str, Any], numbers: Sequence[int], split: str
) -> Iterator[tuple[int, Iterator[str]]]:
    """Yield each part's number and its documents of a split; the numbers follow on each other.

    A part's documents are to be taken before the next part is: what is left of them is passed over.
    ``root``: where relative paths of the plan start. The documents of a part end with a
    ``UserError`` if they are not those of the plan.
    """
    listed = _listed(root, plan)
    begin = Cursor(*plan["parts"][numbers[0]]["begin"])
    taken = external.of_files(_reading(root, plan), listed, begin)
    for number in numbers:
        part = plan["parts"][number]
        found = _documents(plan, part, islice(taken, part["rows"]), split)
        yield number, found
        deque(found, maxlen=0)  # what the caller left


def _documents(
    plan: Mapping[str, Any], part: Mapping[str, Any], taken: Iterator[external.Taken], split: str
) -> Iterator[str]:
    digest = hashlib.sha256()
    drawn = splits(plan["seed"], plan["validation_share"], plan["source"], part["seen"])
    for row in taken:
        if row.text is None or next(drawn) != split or not row.text.strip():
            continue
        digest.update(line(row.text))
        yield row.text
    if digest.hexdigest() != part[split]["sha256"]:
        raise UserError(
            f"{plan['reading']['key']}.path is {plan['reading']['path']!r}: the documents are not "
            "those that the stage corpus read; read them anew with `repo-pipeline run corpus --force`"
        )


def _listed(root: Path, plan: Mapping[str, Any]) -> list[DataFile]:
    return [
        DataFile(root / os.fsdecode(urllib.parse.unquote_to_bytes(file["path"])), file["kind"])
        for file in plan["files"]
    ]


def _reading(root: Path, plan: Mapping[str, Any]) -> Reading:
    given = plan["reading"]
    path, field = str(root / given["path"]), given["text_field"]
    return Reading(given["key"], "local", path, field, given["on_bad_row"], None, None, None)


def of_split(corpus: Path, split: str) -> Iterator[str]:
    """All documents of a split in the order of the names, those that are read elsewhere too."""
    read = plans(corpus)
    there = {file.relative_to(corpus) for file in (corpus / split).glob("*.jsonl")}
    # Parts that one reader takes have names that follow on each other.
    first = {
        name(source, group[0], split): (source, group)
        for source, plan in read.items()
        for group in groups(plan)
    }
    for file in sorted([*there, *first]):
        if file in there:
            yield from (row["text"] for row in read_jsonl(corpus / file))
            continue
        source, group = first[file]
        for _, found in texts(Path(), read[source], group, split):
            yield from found
