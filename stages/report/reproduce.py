"""The paper's Table 1 from a checkpoint: ``repo-pipeline reproduce MODEL``.

Measures the four needle tasks of RULER by the paper's own rules (``--protocol repo-paper``: 100
samples a task, greedy, its budgets of new tokens), prints the row beside the paper's with intervals,
and says whether they agree. MODEL is the official checkpoint (SakanaAI/RePo-OLMo2-1B-stage2-L5: a
folder, or its hub id) or a model of one's own. It goes on where it was stopped.
"""

import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from stages.common.command import Parser, ended
from stages.common.errors import DONE, UserError
from stages.common.files import read_json, write_json
from stages.evaluate import any_model
from stages.evaluate.statistics import error_of_equals
from stages.report.paper import TABLE_1

LENGTH = 4096
PAPER_SAMPLES = 100
"""Samples a task in the paper's tool chain (PAPER.md section 4)."""
Z = 1.96
FILE = "reproduced.json"


class Beside(NamedTuple):
    """One column of the table, in points of 100."""

    column: str
    ours: float
    paper: float
    error: float
    """Standard error of the difference: ours and the paper's, which are other samples."""

    @property
    def low(self) -> float:
        """Lower end of the difference's 95 % interval."""
        return self.ours - self.paper - Z * self.error

    @property
    def high(self) -> float:
        """Upper end of the difference's 95 % interval."""
        return self.ours - self.paper + Z * self.error

    @property
    def agrees(self) -> bool:
        """Whether the 95 % interval of the difference holds zero."""
        return self.low <= 0.0 <= self.high


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command and exit with the code that says how it ended."""
    parser = Parser(prog="repo-pipeline reproduce", description=__doc__)
    parser.add_argument("model", help="folder, or hub id, of a causal model")
    parser.add_argument(
        "--row", choices=TABLE_1.rows, default="1B RePo", help="the paper's row to compare with"
    )
    parser.add_argument("--length", type=int, default=LENGTH, help="tokens")
    parser.add_argument("--num", type=int, default=PAPER_SAMPLES, help="samples a task")
    parser.add_argument(
        "--out", type=Path, default=Path("reproduced"), help="folder of the records"
    )
    options = parser.parse_args(arguments)
    ended(lambda: _reproduce(options))


def _reproduce(options: Any) -> None:
    if options.num < 2:
        raise UserError(f"--num is {options.num}: an interval needs 2 samples a task or more")
    tasks = [task for task in TABLE_1.ours if task]
    try:
        any_model.main(
            [
                options.model,
                *("--protocol", "repo-paper", "--tasks", ",".join(tasks)),
                *("--lengths", str(options.length), "--num", str(options.num)),
                *("--out", str(options.out)),
            ]
        )
    except SystemExit as end:
        if end.code != DONE:
            raise
    metrics = read_json(options.out / "metrics.json")
    found = beside(metrics["cells"], options.row, options.length)
    result = {
        "model": options.model,
        "sha256": metrics["sha256"],
        "row": options.row,
        "length": options.length,
        "samples": options.num,
        "columns": [one._asdict() | {"low": one.low, "high": one.high} for one in found],
        "agrees": found[-1].agrees,
    }
    write_json(options.out / FILE, result)
    for line in lines(found, options):
        print(line)


def beside(cells: Mapping[str, Any], row: str, length: int) -> list[Beside]:
    """Our cells beside the paper's row, its average last.

    The paper prints no errors. A column of 100 samples of p percent has at most the binomial error,
    which is what stands here for it.
    """
    found = []
    columns = zip(TABLE_1.columns, TABLE_1.ours, TABLE_1.rows[row], strict=True)
    *named, (last, _, average) = columns
    for column, task, paper in named:
        cell = cells[str(task)][str(length)]
        error = math.hypot(cell["stderr"], _paper_error(paper))
        found.append(Beside(column, cell["score"], paper, error))
    ours = math.fsum(one.ours for one in found) / len(found)
    error = math.sqrt(math.fsum(one.error**2 for one in found)) / len(found)
    return [*found, Beside(last, ours, average, error)]


def _paper_error(score: float) -> float:
    share = score / 100
    if share in (0.0, 1.0):
        return error_of_equals(PAPER_SAMPLES)
    return 100 * math.sqrt(share * (1 - share) / PAPER_SAMPLES)


def lines(found: Sequence[Beside], options: Any) -> Iterator[str]:
    """The table and what it says, for a terminal."""
    yield ""
    yield f"{TABLE_1.title}; the paper's row: {options.row}"
    yield f"{'':6}{'here':>8}{'paper':>8}{'difference':>12}  95 % interval"
    for one in found:
        yield (
            f"{one.column:6}{one.ours:8.1f}{one.paper:8.1f}{one.ours - one.paper:+12.1f}"
            f"  [{one.low:+.1f}, {one.high:+.1f}]"
        )
    mean = found[-1]
    word = "agrees with" if mean.agrees else "differs from"
    difference = f"{mean.ours - mean.paper:+.1f} [{mean.low:+.1f}, {mean.high:+.1f}]"
    yield f"The average {word} the paper's: {difference}."
    outside = [one.column for one in found[:-1] if not one.agrees]
    yield (
        f"Outside their interval: {', '.join(outside) or 'no column'}. Of four columns chance alone "
        "puts one outside in about one run of five."
    )
    if options.length != LENGTH:
        yield f"Measured at {options.length} tokens, the paper at {LENGTH}: no reproduction."
    if options.num != PAPER_SAMPLES:
        yield f"Measured on {options.num} samples a task, the paper on {PAPER_SAMPLES}."


if __name__ == "__main__":
    main(sys.argv[1:])
