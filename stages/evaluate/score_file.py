"""Score a file of predictions: ``python -m stages.evaluate.score_file FILE --task qa_1 [--json]``.

The line, or the JSON, carries the score as the official script rounds it: 0 to 100, two decimals.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from stages.benchmarks.official import PROTOCOLS
from stages.common.command import Parser, ended
from stages.evaluate.predictions import FileScore, score_file


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command and exit with the code that says how it ended."""
    parser = Parser(prog="repo-pipeline score", description=__doc__)
    parser.add_argument("file", type=Path, help="JSONL of outputs and pred, or of LongBench's rows")
    parser.add_argument(
        "--task", required=True, help="a task of RULER, LongBench, NLGraph or HybridQA"
    )
    parser.add_argument("--protocol", choices=PROTOCOLS, default="nvidia", help="whose metrics")
    parser.add_argument("--json", action="store_true", help="print {task, n, score}")
    options = parser.parse_args(arguments)
    ended(lambda: _show(score_file(options.file, options.task, options.protocol), options.json))


def _show(result: FileScore, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"task": result.task, "n": result.n, "score": result.score}))
        return
    line = f"{result.task}: {result.score:.2f} over {result.n} predictions, {result.empty} empty"
    if result.buckets:
        parts = (
            f"{name} {'none' if score is None else f'{score:.2f}'}"
            for name, score in result.buckets.items()
        )
        line += f"; by length {', '.join(parts)}"
    print(line)


if __name__ == "__main__":
    main()
