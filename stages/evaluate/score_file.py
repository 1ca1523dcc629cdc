"""Score predictions: ``repo-pipeline score FILE --task qa_1``, or a folder of them.

A folder is what ``evaluate --out`` left, RULER's ``pred`` or LongBench's ``pred/<model>`` and
``pred_e/<model>``; its files name their tasks. A line, or the JSON, carries the score as the official
script rounds it: 0 to 100, two decimals.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any, NoReturn

from stages.benchmarks.official import PROTOCOLS
from stages.common.command import Parser, ended
from stages.common.errors import DONE, UserError
from stages.common.jsonl import objects
from stages.evaluate.buckets import BUCKETS
from stages.evaluate.prediction_files import Found, found
from stages.evaluate.predictions import FileScore, is_known, score_rows


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command and exit with the code that says how it ended."""
    parser = Parser(prog="repo-pipeline score", description=__doc__)
    parser.add_argument(
        "file", type=Path, help="JSONL in RULER's, LongBench's or our own layout, or a folder of it"
    )
    parser.add_argument(
        "--task", help="a task of RULER, LongBench, NLGraph or HybridQA; default: the file's name"
    )
    parser.add_argument("--protocol", choices=PROTOCOLS, default="nvidia", help="whose metrics")
    parser.add_argument(
        "--json", action="store_true", help="print {task, n, score} (a folder: a list)"
    )
    options = parser.parse_args(arguments)
    ended(lambda: _score(options), unheard=DONE)


def _score(options: Any) -> None:
    sources, left_out = found(options.file, is_known)
    if options.file.is_dir() and options.task is not None:
        sources = [source for source in sources if source.name == options.task]
    if not sources:
        raise UserError(
            f"FILE is {str(options.file)!r}: no predictions of a known task in it; give a file and "
            "--task"
        )
    results = [(source, _result(source, options)) for source in sources]
    if options.json:
        shown = [_as_json(result) for _, result in results]
        print(json.dumps(shown if options.file.is_dir() else shown[0]))
        return
    for source, result in results:
        print((f"{source.folder}: " if source.folder else "") + _line(result))
    if len(results) > 1:
        print(f"mean over {len(results)}: {fmean(result.score for _, result in results):.2f}")
    for what in left_out:
        print(f"left out: {what}")


def _result(source: Found, options: Any) -> FileScore:
    rows = [(file, number, row) for file in source.files for number, row in objects(file)]
    task = options.task or (source.name if is_known(source.name) else None)
    own = bool(rows) and "prediction" in rows[0][2]
    return score_rows(rows, options.task if own else task, options.protocol, source.files[0])


def _as_json(result: FileScore) -> dict[str, Any]:
    """What is not there, as a length that no row tells, is left out."""
    more = {"length": result.length, "buckets": result.buckets}
    found = {"task": result.task, "n": result.n, "score": result.score}
    return found | {name: value for name, value in more.items() if value is not None}


def _line(result: FileScore) -> str:
    task = result.task if result.length is None else f"{result.task}, {result.length} tokens"
    line = f"{task}: {result.score:.2f} over {result.n} predictions, {result.empty} empty"
    if result.buckets:
        parts = (
            f"{name} {'none' if score is None else f'{score:.2f}'}"
            for name, score in result.buckets.items()
        )
        by = "length" if set(result.buckets) <= set(BUCKETS) else "difficulty and size"
        line += f"; by {by} {', '.join(parts)}"
    return line


if __name__ == "__main__":
    main()
