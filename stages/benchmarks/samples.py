"""Samples of RULER's tasks as RULER writes them: ``repo-pipeline samples --task vt ...``.

Works offline, without DVC and without params.yaml. A line of the output has ``index``, ``input``,
``outputs``, ``length`` (tokens of prompt and budget), ``answer_prefix`` and, for needles,
``token_position_answer`` (tokens before the first answer); the prompt is ``input + answer_prefix``.
With ``--full`` instead what this project's evaluation stores: token ids, depth, metric, budget.
``--task all`` writes ``<task>.jsonl`` of every task into the folder ``--out``.

Samples are built once and kept under ``REPO_RUNS``, where ``repo-pipeline evaluate`` finds them too.
"""

import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from stages.benchmarks import exact, kept, official, ruler, structured
from stages.benchmarks.niah import Niah
from stages.benchmarks.params import BenchmarksParams, LongBenchParams, field_of
from stages.benchmarks.words import Words
from stages.common.command import Parser, ended
from stages.common.encoder import Encoder
from stages.common.errors import UserError
from stages.common.files import read_jsonl, replacing

SOURCES = {"prose": "essays", "squad": "squad", "hotpotqa": "hotpotqa"}
"""Settings that name a corpus, and their options here; ``REPO_<OPTION>`` is the default."""

ALL = "all"

_ADDRESS = "a path or https://...#sha256=..."


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command and exit with the code that says how it ended."""
    parser = Parser(prog="repo-pipeline samples", description=__doc__)
    parser.add_argument(
        "--task", required=True, help=f"{ALL}, or one of {', '.join(official.TASKS)}"
    )
    parser.add_argument("--length", required=True, type=int, help="tokens, prompt and answer")
    parser.add_argument("--tokenizer", required=True, type=Path, help="folder of tokenizer.json")
    parser.add_argument("--out", required=True, type=Path, help="JSONL file to write, or folder")
    parser.add_argument("--num", type=int, help="samples (nvidia: 500, repo-paper: 100)")
    parser.add_argument("--seed", type=int, default=42, help="of the samples")
    parser.add_argument(
        "--protocol", choices=official.PROTOCOLS, default="nvidia", help="whose rules"
    )
    parser.add_argument(
        "--exact", action="store_true", help="byte for byte as NVIDIA's generators write"
    )
    parser.add_argument("--full", action="store_true", help="token ids, depth and metric as well")
    add_sources(parser)
    options = parser.parse_args(arguments)
    ended(lambda: _write(options))


def only_defaults(options: Any, defaults: Mapping[str, Any], where: str) -> None:
    """Refuse an option that means nothing ``where``; ``defaults``: what each is if nobody gave it."""
    for name, default in defaults.items():
        if getattr(options, name) != default:
            option = "model" if name == "served" else name.replace("_", "-")
            raise UserError(f"--{option} is not for {where}; leave it out")


@contextmanager
def options_named() -> Iterator[None]:
    """Where a setting was given as an option, an error names the option."""
    try:
        yield
    except UserError as error:
        line = str(error)
        for setting, option in (
            ("benchmarks.lengths: ", "length "),
            ("benchmarks.template", "--template"),
            ("benchmarks.longbench.tasks: ", "--tasks: "),
            ("benchmarks.longbench.path", "--data"),
            ("benchmarks.ruler.data", "--data"),
            ("benchmarks.longbench.max_length", "--max-length"),
            *((f"{field_of(name)}.path", "--data") for name in structured.names()),
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
        parser.add_argument(f"--{option}", default=default, help=f"{meaning}; {_ADDRESS}")


def sources(options: Any) -> dict[str, str]:
    """The corpora that the options name, as settings."""
    return {setting: getattr(options, option) for setting, option in SOURCES.items()}


def _write(options: Any) -> None:
    at_least(options, length=16, num=1, seed=0)
    if options.task != ALL:
        known_task("--task", options.task)
    tasks = official.TASKS if options.task == ALL else (options.task,)
    files = {task: options.out / f"{task}.jsonl" for task in tasks}
    if options.task != ALL:
        files[options.task] = options.out
    for file in files.values():
        _writable(file)
    encoder = Encoder(options.tokenizer)
    if options.exact:
        _write_exact(options, files, encoder)
        return
    encoder.eos_id()  # a model could never end its answers: said now rather than then
    with options_named():
        found = kept.samples([_cell(options, task) for task in tasks], options.tokenizer)
    for one in found:
        task, file = one.part.task, files[one.part.task]
        source = one.path if options.full else _official(one, encoder)
        try:
            with replacing(file) as temporary:
                shutil.copyfile(source, temporary)
        except OSError as error:
            raise _refused(file, error.strerror or str(error)) from None
        rows = list(read_jsonl(source))
        fill = sum(_tokens(row) for row in rows) / len(rows) / options.length
        print(f"{file}: {len(rows)} samples of {task}, mean fill {100 * fill:.1f} %")


def _write_exact(options: Any, files: Mapping[str, Path], encoder: Encoder) -> None:
    """NVIDIA's own rows; they are not kept."""
    if options.full or options.protocol != "nvidia":
        raise UserError("--exact is NVIDIA's own file: it takes neither --full nor --protocol")
    words, count = Words(encoder.count, None), options.num or official.SAMPLES["nvidia"]
    for task, file in files.items():
        budget = official.ruler("nvidia", [task]).new_tokens[task]  # type: ignore[index]
        calls = exact.Calls(
            task, options.length, budget, count, options.seed, encoder, words, sources(options)
        )
        with (
            options_named(),
            replacing(file) as temporary,
            temporary.open("w", encoding="utf-8") as out,
        ):
            out.writelines(json.dumps(row) + "\n" for row in exact.rows(calls))
        print(f"{file}: {count} samples of {task}, as NVIDIA/RULER writes them")


def _cell(options: Any, task: str) -> BenchmarksParams:
    """One task at the length, as ``repo-pipeline evaluate`` asks for it."""
    return BenchmarksParams(
        seed=options.seed,
        lengths=(options.length,),
        ruler=official.ruler(options.protocol, [task], options.num, None, True, **sources(options)),
        longbench=LongBenchParams(tasks=(), protocol=options.protocol, samples=options.num),
    )


def _writable(file: Path) -> None:
    """Refuse a place that cannot be written before anything is built for it."""
    if file.exists() and not file.is_file():
        raise _refused(file, "no file")
    writable_folder(file.parent, file, "file")


def writable_folder(folder: Path, out: Path, kind: str = "folder") -> None:
    """Refuse an ``out`` whose folder could not be made or written in."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    if not folder.is_dir():
        raise _refused(out, f"{folder} is no folder", kind)
    if not os.access(folder, os.W_OK | os.X_OK):
        raise _refused(out, "Permission denied", kind)


def _refused(out: Path, reason: str, kind: str = "file") -> UserError:
    return UserError(f"--out is {str(out)!r}: {reason}; give a {kind} that can be written")


def at_least(options: Any, **least: int) -> None:
    """Refuse a number below the least that its option takes."""
    for name, bound in least.items():
        value = getattr(options, name)
        if value is not None and value < bound:
            option = name.replace("_", "-")
            raise UserError(f"--{option} is {value}: give a whole number from {bound} up")


def known_task(option: str, task: str) -> None:
    """Refuse a task that RULER does not have."""
    if task not in ruler.TASKS:
        raise UserError(f"{option} is {task!r}: unknown; known are {', '.join(ruler.TASKS)}")


def _official(one: kept.Kept, encoder: Encoder) -> Path:
    """The samples in RULER's layout, kept beside them."""
    file = one.path.parents[1] / "official" / one.path.name
    if not file.is_file():
        # In RULER's order of fields, which `write_jsonl` would sort.
        rows = (_plain(row, encoder) for row in read_jsonl(one.path))
        lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        with replacing(file) as temporary:
            temporary.write_text("".join(lines), encoding="utf-8")
    return file


def _plain(row: dict[str, Any], encoder: Encoder) -> dict[str, Any]:
    plain = {key: row[key] for key in ("index", "input", "outputs")}
    plain |= {"length": _tokens(row), "answer_prefix": row["answer_prefix"]}
    if isinstance(ruler.TASKS[row["task"]], Niah):
        before, _, _ = row["input"].partition(row["outputs"][0])
        plain["token_position_answer"] = encoder.count(before)
    return plain


def _tokens(row: dict[str, Any]) -> int:
    """Prompt and budget of a row in either layout."""
    if "prompt_ids" not in row:
        return int(row["length"])
    return len(row["prompt_ids"]) + int(row["max_new_tokens"])


if __name__ == "__main__":
    main()
