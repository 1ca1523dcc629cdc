"""Samples of one RULER task as RULER writes them: ``repo-pipeline samples --task vt ...``.

Works offline, without DVC and without params.yaml. A line of the output has ``index``, ``input``,
``outputs``, ``length`` (tokens of prompt and budget) and ``answer_prefix``; the prompt is
``input + answer_prefix``. With ``--full`` also what this project's evaluation stores: token ids,
depth, metric, budget.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from stages.benchmarks import official, ruler
from stages.benchmarks.draft import Cell
from stages.benchmarks.encoder import Encoder
from stages.benchmarks.haystack import Prose
from stages.benchmarks.words import Words
from stages.common.command import Parser, ended
from stages.common.errors import UserError
from stages.common.files import write_jsonl

SOURCES = {"prose": "essays", "squad": "squad", "hotpotqa": "hotpotqa"}
"""Settings that name a corpus, and their options here; ``REPO_<OPTION>`` is the default."""

_ADDRESS = "a path or https://...#sha256=..."


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command and exit with the code that says how it ended."""
    parser = Parser(prog="repo-pipeline samples", description=__doc__)
    parser.add_argument("--task", required=True, help=f"one of {', '.join(official.TASKS)}")
    parser.add_argument("--length", required=True, type=int, help="tokens, prompt and answer")
    parser.add_argument("--tokenizer", required=True, type=Path, help="folder of tokenizer.json")
    parser.add_argument("--out", required=True, type=Path, help="JSONL file to write")
    parser.add_argument("--num", type=int, help="samples (nvidia: 500, repo-paper: 100)")
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--protocol", choices=official.PROTOCOLS, default="nvidia")
    parser.add_argument("--full", action="store_true", help="token ids, depth and metric as well")
    add_sources(parser)
    options = parser.parse_args(arguments)
    ended(lambda: _write(options))


@contextmanager
def options_named() -> Iterator[None]:
    """Where a setting was given as an option, an error names the option."""
    try:
        yield
    except UserError as error:
        line = str(error)
        for setting, option in (
            ("benchmarks.lengths: ", "length "),
            ("benchmarks.longbench.tasks: ", "--tasks: "),
            ("benchmarks.longbench.path", "--data"),
            ("benchmarks.nlgraph.path", "--data"),
            ("benchmarks.hybridqa.path", "--data"),
            ("benchmarks.ruler.samples", "--num"),
            *((f"benchmarks.ruler.{name}", f"--{option}") for name, option in SOURCES.items()),
            *((f"(ruler.{name})", f"(--{option})") for name, option in SOURCES.items()),
        ):
            line = line.replace(setting, option)
        raise UserError(line) from None


def add_sources(parser: Parser) -> None:
    """Options for corpora; without them the generated, licence-free ones are used.

    Nothing is fetched that is not asked for.
    """
    for option, meaning in (
        ("essays", "haystack text, or JSON with a key 'text' (official: Paul Graham's essays)"),
        ("squad", "SQuAD v2 JSON for qa_1, or: download"),
        ("hotpotqa", "HotpotQA JSON for qa_2, or: download"),
    ):
        default = os.environ.get(f"REPO_{option.upper()}", "generated")
        parser.add_argument(
            f"--{option}", default=default, help=f"{meaning}; {_ADDRESS}; default: generated"
        )


def sources(options: Any) -> dict[str, str]:
    """The corpora that the options name, as settings."""
    return {setting: getattr(options, option) for setting, option in SOURCES.items()}


def _write(options: Any) -> None:
    for name, least in (("length", 16), ("num", 1), ("seed", 0)):
        value = getattr(options, name)
        if value is not None and value < least:
            raise UserError(f"--{name} is {value}: give a whole number from {least} up")
    known_task("--task", options.task)
    encoder = Encoder(options.tokenizer)
    encoder.eos_id()  # a model could never end its answers: said now rather than then
    params = official.ruler(options.protocol, [options.task], options.num, **sources(options))
    words = Words(encoder.count, params.word_tokens)
    with options_named():
        prose = Prose(params.prose, words)
    cell = Cell(options.task, options.length, params, options.seed, encoder, words, prose)
    with options_named():
        rows = list(ruler.samples(cell))
    write_jsonl(options.out, rows if options.full else _plain(rows))
    fill = sum(_tokens(row) for row in rows) / len(rows) / options.length
    print(f"{options.out}: {len(rows)} samples of {options.task}, mean fill {100 * fill:.1f} %")


def known_task(option: str, task: str) -> None:
    """Refuse a task that RULER does not have."""
    if task not in ruler.TASKS:
        raise UserError(f"{option} is {task!r}: unknown; known are {', '.join(ruler.TASKS)}")


def _plain(rows: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for row in rows:
        kept = {key: row[key] for key in ("index", "input", "outputs", "answer_prefix")}
        yield kept | {"length": _tokens(row)}


def _tokens(row: dict[str, Any]) -> int:
    return len(row["prompt_ids"]) + int(row["max_new_tokens"])


if __name__ == "__main__":
    main()
