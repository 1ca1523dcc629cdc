"""How full RULER's samples are: the mean share of each length that prompt and budget take.

    python benchmarks/fill.py --tokenizer FOLDER [--lengths 4096,8192,16384] [--samples 20]

By the rules of ``repo-pipeline samples``. Every sample is counted again with transformers' own
wrapper of the tokenizer; one that is over its length ends the run with exit code 1. ``< 205``: the
length is refused, the smallest is about that. With it, the CPU seconds each task took to build.
"""

import argparse
import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer
from transformers.utils import logging

from stages.benchmarks import official, ruler
from stages.benchmarks.draft import Cell
from stages.benchmarks.haystack import Prose
from stages.benchmarks.words import Words
from stages.common import paths
from stages.common.encoder import Encoder
from stages.common.errors import UserError


class Table:
    """Fills of all tasks and lengths, and what they cost."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.encoder = Encoder(options.tokenizer)
        logging.set_verbosity_error()  # it warns of texts beyond the window of the tokenizer's model
        self.count = AutoTokenizer.from_pretrained(options.tokenizer)
        self.over = 0
        self.seconds: dict[str, float] = {}

    def fill(self, task: str, length: int) -> str:
        """Mean fill in percent, or the least length of the task."""
        params = official.ruler(self.options.protocol, [task], self.options.samples)
        words = Words(self.encoder.count, params.word_tokens)
        prose = Prose(params.prose, words)
        cell = Cell(task, length, params, self.options.seed, self.encoder, words, prose)
        started = time.process_time()
        try:
            rows = list(ruler.samples(cell))
        except UserError as error:
            least = re.search(r"need about (\d+)", str(error))
            if least is None:
                raise
            return f"< {least[1]}"
        finally:
            spent = time.process_time() - started
            self.seconds[task] = self.seconds.get(task, 0.0) + spent
        sizes = [self._counted(row) for row in rows]
        self.over += sum(size > length for size in sizes)
        return f"{100 * sum(sizes) / len(sizes) / length:.1f}"

    def _counted(self, row: dict[str, Any]) -> int:
        tokens = self.count.tokenize(row["input"] + row["answer_prefix"])
        return len(tokens) + int(row["max_new_tokens"])


def show(table: Table, lengths: Sequence[int], tasks: Sequence[str]) -> None:
    """Print the table as Markdown, a line as soon as it is known."""
    print(f"mean fill in %, {table.options.samples} samples, protocol {table.options.protocol}\n")
    print("| task | " + " | ".join(map(str, lengths)) + " | CPU s |")
    print("|---|" + "--:|" * (len(lengths) + 1))
    for task in tasks:
        cells = [table.fill(task, length) for length in lengths]
        print(f"| {task} | {' | '.join(cells)} | {table.seconds[task]:.1f} |", flush=True)
    print(f"\n{table.over} samples over their length; {sum(table.seconds.values()):.1f} s CPU")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokenizer", type=Path, default=paths.TOKENIZER)
    parser.add_argument("--lengths", default="4096,8192,16384")
    parser.add_argument("--tasks", default=",".join(official.TASKS))
    parser.add_argument("--samples", type=int, default=20)
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--protocol", choices=official.PROTOCOLS, default="nvidia")
    options = parser.parse_args()
    if not options.tokenizer.is_dir():
        print(f"{options.tokenizer}: no such folder; give --tokenizer")
        return 0
    table = Table(options)
    lengths = [int(length) for length in options.lengths.split(",")]
    show(table, lengths, options.tasks.split(","))
    return 1 if table.over else 0


if __name__ == "__main__":
    sys.exit(main())
