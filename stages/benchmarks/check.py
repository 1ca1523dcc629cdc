"""The samples: files of other people's benchmarks, budgets and lengths."""

import json
import re
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

from stages.benchmarks import template_files
from stages.common.findings import Finding, refuse, warn
from stages.common.seen import Seen, model_folder

ADDRESS = re.compile(r"https?://[^/\s#]+/[^\s#]*#sha256=[0-9a-f]{64}")
SET = Path(str(files("stages.benchmarks") / "data" / "generated"))
SHIPPED = "longbench"
"""Where the profiles that ship expect LongBench's files: a plan of them only says so."""


def check(seen: Seen) -> Iterator[Finding]:
    """Findings of ``benchmarks``."""
    yield from _tasks(seen)
    yield from _longbench(seen)
    yield from _files(seen)
    yield from _budgets(seen)
    yield from _template(seen)


def _tasks(seen: Seen) -> Iterator[Finding]:
    """Something to measure, and words that are more common than others."""
    wanted = seen.params.benchmarks
    if not (wanted.ruler.tasks or wanted.longbench.tasks or wanted.nlgraph or wanted.hybridqa):
        yield refuse(
            "benchmarks.ruler.tasks", [], "no suite has a task", "name one, e.g. niah_single_1"
        )
    for field, words in _word_lists(seen):
        if words[0] <= words[1]:
            yield refuse(
                f"benchmarks.ruler.{field}",
                list(words),
                "the common words stand there no more often than the others",
                "the official are [30, 3]",
            )


def _word_lists(seen: Seen) -> Iterator[tuple[str, tuple[int, int]]]:
    ruler = seen.params.benchmarks.ruler
    if "cwe" not in ruler.tasks:
        return
    lists = {"cwe": ruler.cwe} | ({"short.cwe": ruler.short.cwe} if ruler.short else {})
    for field, words in lists.items():
        yield f"{field}.repeats", words.repeats
        if words.example:
            yield f"{field}.example.repeats", words.example.repeats


def _longbench(seen: Seen) -> Iterator[Finding]:
    wanted = seen.params.benchmarks.longbench
    if len(set(wanted.tasks)) < len(wanted.tasks):
        tasks = list(wanted.tasks)
        yield refuse("benchmarks.longbench.tasks", tasks, "one task twice", "name each once")
    shortest = seen.params.benchmarks.lengths[0]
    if wanted.new_tokens is not None and wanted.new_tokens >= shortest:
        yield refuse(
            "benchmarks.longbench.new_tokens",
            wanted.new_tokens,
            f"no room for a prompt at the length {shortest}",
            "lower it",
        )
    if wanted.path is None:
        known = sorted(json.loads((SET / "tasks.json").read_text(encoding="utf-8")))
        if unknown := [task for task in wanted.tasks if task not in known]:
            yield refuse(
                "benchmarks.longbench.tasks",
                unknown[0],
                "the set that ships has no such task",
                f"it has {', '.join(known)}; others need benchmarks.longbench.path",
            )
    if wanted.path is None or not wanted.tasks:
        return
    field, folder = "benchmarks.longbench.path", seen.path(wanted.path)
    level = warn if seen.planning and wanted.path == SHIPPED else seen.absent(wanted.path)
    if not folder.is_dir():
        yield level(
            field,
            wanted.path,
            "no such folder",
            "unpack LongBench's JSONL there before `benchmarks` runs, or set "
            "benchmarks.longbench.tasks=[]",
        )
        return
    missing = [task for task in wanted.tasks if not (folder / f"{task}.jsonl").is_file()]
    if missing:
        yield level(
            field,
            wanted.path,
            f"{missing[0]}.jsonl is not in it",
            "put it there, or leave the task out of benchmarks.longbench.tasks",
        )


def _files(seen: Seen) -> Iterator[Finding]:
    benchmarks = seen.params.benchmarks
    if benchmarks.ruler.data is not None and not seen.path(benchmarks.ruler.data).is_dir():
        level = seen.absent(benchmarks.ruler.data)
        yield level(
            "benchmarks.ruler.data",
            benchmarks.ruler.data,
            "no such folder",
            "put RULER's files there",
        )
    for kind in ("prose", "squad", "hotpotqa"):
        named = getattr(benchmarks.ruler, kind)
        if named.startswith(("http://", "https://")):
            if not ADDRESS.fullmatch(named):
                yield refuse(
                    f"benchmarks.ruler.{kind}",
                    named,
                    "nothing says which file that is",
                    "write https://HOST/FILE#sha256= and its 64 hexadecimal digits",
                )
            continue
        if named == "generated" or (named == "download" and kind != "prose"):
            continue
        if not seen.path(named).is_file():
            level = seen.absent(named)
            yield level(
                f"benchmarks.ruler.{kind}", named, "no such file", "name the file, or `generated`"
            )
    for suite in ("nlgraph", "hybridqa"):
        params = getattr(benchmarks, suite)
        if params is not None and not seen.path(params.path).is_dir():
            level = seen.absent(params.path)
            yield level(
                f"benchmarks.{suite}.path", params.path, "no such folder", "put its files there"
            )


def _budgets(seen: Seen) -> Iterator[Finding]:
    """An answer's budget counts towards the length: a prompt must be left."""
    ruler, lengths = seen.params.benchmarks.ruler, seen.params.benchmarks.lengths
    for task in ruler.tasks:
        built = [length for length in lengths if ruler.samples_at(task, length)]
        budget = ruler.new_tokens[task]
        if built and budget >= built[0]:
            yield refuse(
                f"benchmarks.ruler.new_tokens.{task}",
                budget,
                f"no room for a prompt at the length {built[0]}",
                "lower it, or measure at longer lengths",
            )
            return  # one task stands for all


def _template(seen: Seen) -> Iterator[Finding]:
    """A file that can be read and is a template; ``auto`` where the tokenizer has one."""
    template, source = seen.params.benchmarks.template, seen.params.tokenizer.source
    folder = model_folder(source, seen.params.tokenizer.revision, seen.root)
    auto = template_files.file_of(template) is None
    if auto and template != template_files.NONE and source == "train":
        why = "a tokenizer that is trained here has no chat template"
    else:
        why = template_files.faults(template, folder, seen.root)
    if why:
        level = refuse if auto or seen.path(template).exists() else seen.absent(template)
        yield level(
            "benchmarks.template",
            template,
            why,
            f"name a file with {template_files.PLACE} or Jinja over `messages`, or give "
            f"{template_files.NONE}",
        )
