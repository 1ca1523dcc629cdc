"""``repo-pipeline sample ID``: one sample whole, with what every model of the last run answered.

    repo-pipeline sample niah_multikey_1-512-0007
    repo-pipeline sample niah_multikey_1-512-0007 --variant repo --tokens

Needs the outs data/benchmarks and results (``dvc pull`` brings them).
"""

import difflib
import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from stages.common import paths
from stages.common.command import Parser, ended
from stages.common.errors import DONE, UserError
from stages.common.printable import printable

ID = re.compile(r"(?P<task>.+)-(?P<length>\d+)-(?P<index>\d+)")


def find(name: str) -> dict[str, Any]:
    """The sample of this id; a mistake names what there is."""
    if not paths.BENCHMARKS.is_dir():
        raise UserError(
            f"{paths.BENCHMARKS}: no such folder; run the stage benchmarks, or dvc pull"
        )
    told = ID.fullmatch(name)
    files = {file.stem: file for file in sorted(paths.BENCHMARKS.glob("*/*.jsonl"))}
    stem = f"{told['task']}-{told['length']}" if told else ""
    if told is None or stem not in files:
        near = difflib.get_close_matches(stem or name, files, n=3, cutoff=0.3)
        raise UserError(
            f"sample {name!r}: no such cell; an id is TASK-LENGTH-NUMBER, here for example "
            + ", ".join(f"{one}-0000" for one in near or list(files)[:3])
        )
    count = 0
    with files[stem].open("rb") as lines:
        for line in lines:
            if name.encode() in line and (sample := json.loads(line))["id"] == name:
                return dict(sample)
            count += 1
    raise UserError(f"sample {name!r}: {files[stem]} has {count} samples, numbered from 0")


def answers(sample: dict[str, Any], variant: str | None) -> Iterator[tuple[str, dict[str, Any]]]:
    """Of every model that was measured on it: its name and its record."""
    name = f"{sample['suite']}-{sample['task']}-{sample['length']}.jsonl"
    for folder in sorted(path for path in paths.RESULTS.glob("*") if path.is_dir()):
        item, file = folder.name, folder / "samples" / name
        if not file.is_file() or (variant and item.rpartition("-")[0] != variant):
            continue
        for line in file.open("rb"):
            if sample["id"].encode() in line and (row := json.loads(line))["id"] == sample["id"]:
                yield item, row


def shown(
    sample: dict[str, Any], variant: str | None = None, tokens: bool = False
) -> Iterator[str]:
    """Lines for a terminal."""
    depth = sample.get("depth")
    where = "" if depth is None else f", depth {100 * depth:.0f} %"
    yield f"{sample['id']} ({sample['suite']}, {len(sample['prompt_ids']):,} tokens{where})"
    yield f"wanted: {' | '.join(map(str, sample['outputs']))}"
    if sample.get("candidates"):
        yield f"candidates in the context: {len(sample['candidates'])}"
    if tokens:
        yield f"needle, token ranges: {sample['needle_span']}; question: {sample['query_span']}"
        yield f"token ids: {sample['prompt_ids']}"
    yield from ("", sample["input"] + sample["answer_prefix"], "")
    said = list(answers(sample, variant))
    for item, row in said:
        yield f"{item}: score {100 * row['score']:g}: {row['prediction']!r}"
    if not said:
        yield f"no answers: {paths.RESULTS} has none of this sample; run the stage evaluate"


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = Parser(
        prog="repo-pipeline sample",
        description="Show a benchmark sample whole, and what every model of the last run answered.",
    )
    parser.add_argument("id", metavar="ID", help="as the report shows it: niah_multikey_1-512-0007")
    parser.add_argument("--variant", help="answers of this variant alone")
    parser.add_argument("--tokens", action="store_true", help="token ids and ranges as well")
    options = parser.parse_args(arguments)

    def show() -> None:
        for line in shown(find(options.id), options.variant, options.tokens):
            print(printable(line))

    ended(show, unheard=DONE)  # `sample ID | head`


if __name__ == "__main__":
    main()
