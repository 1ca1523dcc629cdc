"""The samples: files of other people's benchmarks, budgets and lengths."""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from importlib.resources import files
from math import ceil
from pathlib import Path

from stages.benchmarks import (
    check_room,
    documents,
    haystack,
    longbench,
    ruler_files,
    structured,
    template_files,
)
from stages.benchmarks.check_room import LETTERS
from stages.benchmarks.cost import BYTES_PER_TOKEN
from stages.benchmarks.params import LongBenchParams, QuestionsParams, RulerParams, field_of
from stages.benchmarks.questions import Questions
from stages.benchmarks.ruler import TASKS
from stages.common.errors import UserError
from stages.common.findings import Finding, refuse, warn
from stages.common.seen import Seen, model_folder
from stages.corpus.kinds import kind_of
from stages.evaluate.scorers import METRICS

ADDRESS = re.compile(r"https?://[^/\s#]+/[^\s#]*#sha256=[0-9a-f]{64}")
FOLDER = "benchmarks.longbench.path"
OFFICIAL, MANY = 500, 5_000
"""Samples of a task at a length: RULER's, and what no interval needs."""
PROSE = {name for name, row in TASKS.items() if getattr(row, "haystack", None) == "prose"}
QUESTIONS = {name: row for name, row in TASKS.items() if isinstance(row, Questions)}
SET = Path(str(files("stages.benchmarks") / "data" / "generated"))
SHIPPED = "longbench"
"""Where the profiles that ship expect LongBench's files: a plan of them only says so."""


def check(seen: Seen) -> Iterator[Finding]:
    """Findings of ``benchmarks``."""
    yield from _tasks(seen)
    yield from _longbench(seen)
    files = list(_files(seen))
    yield from files
    if not any(one.field.startswith("benchmarks.ruler.") for one in files):
        yield from check_room.check(seen)
    yield from _template(seen)


def _tasks(seen: Seen) -> Iterator[Finding]:
    """Something to measure."""
    wanted = seen.params.benchmarks
    if not (wanted.ruler.tasks or wanted.longbench.tasks or wanted.structured):
        yield refuse(
            "benchmarks.ruler.tasks", [], "no suite has a task", "name one, e.g. niah_single_1"
        )
    asked = {"samples": wanted.ruler.samples} if wanted.ruler.tasks else {}
    asked |= {f"samples_of.{task}": count for task, count in wanted.ruler.samples_of.items()}
    for name, samples in asked.items():
        if samples > MANY:
            tokens = samples * sum(wanted.lengths) * (1 if "." in name else len(wanted.ruler.tasks))
            disk = tokens * BYTES_PER_TOKEN / 1e9
            yield warn(
                f"benchmarks.ruler.{name}",
                samples,
                f"{samples / OFFICIAL:g} times RULER's own number: {tokens / 1e9:,.1f} B tokens for "
                f"each model, {disk:,.0f} GB on disk",
                f"{OFFICIAL} are usual",
            )


def _longbench(seen: Seen) -> Iterator[Finding]:
    wanted = seen.params.benchmarks.longbench
    if len(set(wanted.tasks)) < len(wanted.tasks):
        tasks = list(wanted.tasks)
        yield refuse("benchmarks.longbench.tasks", tasks, "one task twice", "name each once")
    if wanted.path is None:
        known = sorted(json.loads((SET / "tasks.json").read_text(encoding="utf-8")))
        if unknown := [task for task in wanted.tasks if task not in known]:
            yield refuse(
                "benchmarks.longbench.tasks",
                unknown[0],
                "the set that ships has no such task",
                f"it has {', '.join(known)}; others need benchmarks.longbench.path",
            )
            return
    if wanted.path is None:
        yield from _rows(seen, wanted, None)
    if wanted.path is None or not wanted.tasks:
        return
    field, folder = FOLDER, seen.path(wanted.path)
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
        return
    yield from _rows(seen, wanted.model_copy(update={"path": str(folder)}), wanted.path)


def _rows(seen: Seen, wanted: LongBenchParams, named: str | None) -> Iterator[Finding]:
    """Each task's first row, and room for its prompt at the shortest length."""
    damaged = list(_looked(FOLDER, named, lambda: longbench.Source(wanted)))
    yield from damaged
    if damaged:
        return
    source, shortest = longbench.Source(wanted), seen.params.benchmarks.lengths[0]
    for task in wanted.tasks:
        odd = list(_looked(FOLDER, named, partial(_first, source, task)))
        odd = odd or list(_metric(source, task)) or list(_room(source, task, shortest))
        yield from odd
        if odd:
            return  # one task stands for all
        yield from _prompt(source, task)


def _first(source: longbench.Source, task: str) -> object:
    return next(source.rows(task))


def _prompt(source: longbench.Source, task: str) -> Iterator[Finding]:
    """A prompt that shows the row."""
    prompt = source.format(task).prompt
    if "{context}" not in prompt:
        why = f"no {{context}} in the prompt of {task}, so no model sees a row's text"
        fix = "write {context} and {input} where they belong"
        yield warn(str(source.prompts), prompt, why, fix)


def _metric(source: longbench.Source, task: str) -> Iterator[Finding]:
    """A task of the user's own names a metric that exists: it is asked for after all trainings."""
    if (metric := source.format(task).metric) not in METRICS:
        yield refuse(
            str(source.prompts),
            metric,
            f"{task} names no metric that there is",
            f"take one of {', '.join(sorted(METRICS))}",
        )


def _room(source: longbench.Source, task: str, shortest: int) -> Iterator[Finding]:
    budget, own = source.format(task).max_new_tokens, source.new_tokens is not None
    room = shortest - budget
    if room < 2:
        yield refuse(
            "benchmarks.longbench.new_tokens" if own else "benchmarks.longbench.tasks",
            budget if own else task,
            f"its answer of {budget} tokens leaves no room for a prompt at the length {shortest}",
            "lower it" if own else "leave it out, or give benchmarks.longbench.new_tokens",
        )
    elif source.max_length is not None and source.max_length > room:
        yield refuse(
            "benchmarks.longbench.max_length",
            source.max_length,
            f"{task} has room for {room} tokens of prompt at the length {shortest}",
            f"give {room} at most, or a longer length",
        )


def _files(seen: Seen) -> Iterator[Finding]:
    """Other people's files: there, and of the layout that the stage reads."""
    benchmarks, ruler = seen.params.benchmarks, seen.params.benchmarks.ruler
    if ruler.data is not None:
        cells = [(t, n) for t in ruler.tasks for n in benchmarks.lengths if ruler.samples_at(t, n)]
        field, data = "benchmarks.ruler.data", str(seen.path(ruler.data))
        put = "put RULER's files there"
        rows: dict[str, int] = {}
        yield from _folder(seen, field, ruler.data, put, lambda: _given(ruler, data, cells, rows))
        asked = {f"{task}-{length}": ruler.samples_at(task, length) for task, length in cells}
        if few := ruler_files.fewer(rows, asked):
            yield warn("benchmarks.ruler.samples", ruler.samples, *few.split("; "))
    for kind in ("prose", "squad", "hotpotqa"):
        yield from _source(seen, kind, getattr(ruler, kind))
    for name, section in benchmarks.structured.items():
        field, there = f"{field_of(name)}.path", _here(seen, section)
        look = partial(_suite, name, there)
        yield from _folder(seen, field, section.path, "put its files there", look)


def _suite(name: str, section: QuestionsParams) -> None:
    structured.suite(name).look(section)


def _given(
    params: RulerParams, data: str, cells: Sequence[tuple[str, int]], rows: dict[str, int]
) -> None:
    """RULER's own rows: each length has files of its own, and its prompts fit it.

    ``rows`` takes the number of those that are fewer than what is looked at.
    """
    for task, length in cells:
        file, budget = ruler_files.file_of(data, task, length), params.new_tokens[task]  # type: ignore[index]
        drafts = ruler_files.look(data, task, length)
        rows |= {f"{task}-{length}": len(drafts)} if len(drafts) < ruler_files.LOOKED else {}
        for draft in drafts:
            letters = len(draft.prompt)
            if ceil(letters / LETTERS) + budget > length:
                raise UserError(
                    f"{file}: a prompt of {letters:,} letters and {budget} tokens of answer are more "
                    f"than {length}; take the files that were made for that length"
                )
    ruler_files.refuse_shared(data, cells)


def _prose(seen: Seen, file: Path) -> None:
    """A text that fills the longest prompt; a token is a byte at the least."""
    benchmarks = seen.params.benchmarks
    size = len(haystack.read(file).encode())
    asked = [task for task in benchmarks.ruler.tasks if task in PROSE]
    if asked and benchmarks.ruler.data is None and size < benchmarks.lengths[-1]:
        raise UserError(
            f"{size:,} bytes of text fill no prompt of {benchmarks.lengths[-1]:,} tokens in "
            f"{asked[0]}; give a longer text, or `generated`"
        )


def _here(seen: Seen, suite: QuestionsParams) -> QuestionsParams:
    return suite.model_copy(update={"path": str(seen.path(suite.path))})


def _folder(
    seen: Seen, field: str, path: str, fix: str, look: Callable[[], object]
) -> Iterator[Finding]:
    """A folder (or the file in it), and what ``look`` finds there."""
    if seen.path(path).exists():
        yield from _looked(field, path, look)
    else:
        yield seen.absent(path)(field, path, "no such folder", fix)


def _source(seen: Seen, kind: str, named: str) -> Iterator[Finding]:
    """A file of text or of documents, an address, or a word of ours."""
    field, file = f"benchmarks.ruler.{kind}", seen.path(named)
    if named == "generated" or (named == "download" and kind != "prose"):
        return
    if named.startswith(("http://", "https://")):
        if not ADDRESS.fullmatch(named):
            yield refuse(
                field,
                named,
                "nothing says which file that is",
                "write https://HOST/FILE#sha256= and its 64 hexadecimal digits",
            )
    elif not file.is_file():
        yield seen.absent(named)(field, named, "no such file", "name the file, or `generated`")
    elif kind == "prose" and kind_of(file) in ("lines", "parquet"):
        yield refuse(
            field, named, "documents, no prose", "name a file of plain text, or `generated`"
        )
    elif kind == "prose":
        yield from _looked(field, named, lambda: _prose(seen, file))
    elif kind in [
        task.kind for t in seen.params.benchmarks.ruler.tasks if (task := QUESTIONS.get(t))
    ]:
        yield from _looked(field, named, lambda: documents.load(kind, str(file)))


def _looked(field: str, value: str | None, look: Callable[[], object]) -> Iterator[Finding]:
    """What the stage's own reading refuses."""
    try:
        look()
    except UserError as error:
        line = str(error).splitlines()[0]  # one mistake stands for all
        why, _, fix = (line.partition(": ")[2] if line.startswith(field) else line).partition("; ")
        yield refuse(field, value, why, fix or "correct it")


def _template(seen: Seen) -> Iterator[Finding]:
    """A file that can be read and is a template; ``auto`` where the tokenizer has one."""
    template, source = seen.params.benchmarks.template, seen.params.tokenizer.source
    folder = model_folder(source, seen.params.tokenizer.revision, seen.root)
    auto = template_files.file_of(template) is None
    if auto and template != template_files.NONE and source == "train":
        why = "a tokenizer that is trained here has no chat template"
    else:
        why = template_files.faults(template, folder, seen.root)
    if not why and template != template_files.NONE and seen.path(source).is_dir():
        why = _rendered(template if auto else str(seen.path(template)), seen.path(source))
    if why:
        level = refuse if auto or seen.path(template).exists() else seen.absent(template)
        yield level(
            "benchmarks.template",
            template,
            why,
            f"name a file with {template_files.PLACE} or Jinja over `messages`, or give "
            f"{template_files.NONE}",
        )


def _rendered(template: str, tokenizer: Path) -> str:
    """Why the stage could not frame a prompt with the template: transformers is asked, for seconds."""
    from stages.benchmarks.chat import template_of

    try:
        template_of(template, tokenizer)
    except UserError as error:
        return str(error).partition(": ")[2]
    return ""
