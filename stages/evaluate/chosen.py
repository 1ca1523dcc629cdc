"""What ``repo-pipeline evaluate`` was asked for, as settings of samples."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

from stages.benchmarks import kept, longbench, official, ruler, ruler_files, structured
from stages.benchmarks.params import STRUCTURED, BenchmarksParams, LongBenchParams
from stages.benchmarks.samples import known_task, sources
from stages.common.errors import DoesNotFit, UserError

_FOLDERS = {
    longbench.SUITE: "LongBench's <task>.jsonl files",
    longbench.SUITE_E: "LongBench's <task>_e.jsonl files",
}


def chosen(options: Any, lengths: Sequence[int]) -> list[BenchmarksParams]:
    """Settings of one task at one length each; NLGraph's levels of a task are together."""
    names = options.tasks.split(",") if options.tasks else _all_tasks(options)
    cells = [
        (task, length)
        for task in dict.fromkeys(name.strip() for name in names)
        for length in lengths
    ]
    settings = [_cell(options, task, length) for task, length in cells]
    if options.suite == ruler.SUITE and options.data is not None:
        ruler_files.refuse_shared(options.data, cells)
    return settings


def samples_that_fit(
    cells: Sequence[BenchmarksParams], tokenizer: Path, strict: bool
) -> tuple[list[kept.Kept], list[str]]:
    """The samples of the tasks that fit their lengths, and why the others are left out.

    ``strict`` refuses instead, as is done where nothing is left.
    """
    left_out: list[str] = []
    while True:
        try:
            return kept.samples(cells, tokenizer), left_out
        except DoesNotFit as error:
            cells = [cell for cell in cells if not _is_of(cell, error)]
            if strict or not cells:
                raise
            left_out.append(str(error).removeprefix("benchmarks.lengths: "))


def _is_of(cell: BenchmarksParams, error: DoesNotFit) -> bool:
    """Whether it is this cell that does not fit; NLGraph's speak of a task's level."""
    tasks = [*cell.ruler.tasks, *cell.longbench.tasks]
    for _, suite, section in structured.asked(cell):
        tasks += suite.tasks(section)
    return cell.lengths == (error.length,) and error.task in tasks


def _cell(options: Any, task: str, length: int) -> BenchmarksParams:
    suite = options.suite
    if suite == ruler.SUITE:
        known_task("--tasks", task)
    elif suite in longbench.SUITES and longbench.suite_of(task) != suite:
        other = longbench.suite_of(task)
        raise UserError(f"--tasks has {task}, which is of --suite {other}; leave it out")
    asked = {
        "protocol": options.protocol,
        "path": options.data,
        "samples": options.num,
        "new_tokens": options.new_tokens,
    }
    return BenchmarksParams(
        seed=options.seed,
        lengths=(length,),
        template=options.template,
        ruler=official.ruler(
            options.protocol,
            [task] if suite == ruler.SUITE else [],
            options.num,
            options.new_tokens,
            not options.no_prefix,
            data=options.data if suite == ruler.SUITE else None,
            **sources(options),
        ),
        longbench=LongBenchParams(
            tasks=(task,) if suite in longbench.SUITES else (),
            max_length=options.max_length if suite in longbench.SUITES else None,
            **asked | ({} if suite in longbench.SUITES else {"path": None}),
        ),
        **_structured(suite, task, {**asked, "max_length": options.max_length}),
    )


def _structured(suite: str, task: str, asked: dict[str, Any]) -> dict[str, Any]:
    """The section of a suite over structured data, if that is the one."""
    if suite not in structured.names():
        return {}
    found = structured.suite(suite)
    if task not in found.kinds:
        raise UserError(f"--tasks is {task!r}: unknown; known are {', '.join(found.kinds)}")
    if asked["path"] is None:
        raise UserError(f"--data is missing: give the folder of {found.data}")
    fields = found.params.model_fields
    if asked["protocol"] not in get_args(fields["protocol"].annotation):
        raise UserError(
            f"--protocol is {asked['protocol']!r}, which has no rules for {suite}; leave it out"
        )
    if "tasks" in fields:
        asked = {**asked, "tasks": [task]}
    section = found.params.model_validate({k: v for k, v in asked.items() if k in fields})
    return {suite: section} if suite in STRUCTURED else {"outside": {suite: section}}


def _all_tasks(options: Any) -> Sequence[str]:
    """All tasks of the suite; of LongBench those whose files are in the folder."""
    if options.suite == ruler.SUITE:
        return official.TASKS if options.data is None else _of_ruler(options)
    if options.suite in structured.names():
        return structured.suite(options.suite).kinds
    if options.data is None:
        raise UserError(f"--data is missing: give the folder of {_FOLDERS[options.suite]}")
    names = longbench.TASKS_E if options.suite == longbench.SUITE_E else longbench.metrics()
    present = [task for task in names if (Path(options.data) / f"{task}.jsonl").is_file()]
    if not present:
        kind = "<task>_e.jsonl" if options.suite == longbench.SUITE_E else "<task>.jsonl"
        raise UserError(
            f"--data is {options.data!r}: none of LongBench's {kind} in it; give the folder of them"
        )
    return present


def _of_ruler(options: Any) -> Sequence[str]:
    """Those of RULER's tasks that have a file."""
    folder = Path(options.data)
    if not folder.is_dir():
        raise UserError(f"--data is {options.data!r}: no such folder; give that of RULER's files")
    lengths: list[int | None] = [None, *ruler_files.lengths(folder)]
    present = [
        task
        for task in official.TASKS
        if any(ruler_files.find(folder, task, length) for length in lengths)
    ]
    if not present:
        raise UserError(
            f"--data is {options.data!r}: none of RULER's <task>/validation.jsonl or <task>.jsonl in "
            "it; give RULER's data folder"
        )
    return present


def lengths_of_data(options: Any) -> list[int] | None:
    """The lengths of RULER's own files where none are asked for; none where nothing tells them.

    Folders named for lengths, else the power of two that holds the longest row by NVIDIA's count.
    """
    if options.suite != ruler.SUITE or options.data is None or options.lengths is not None:
        return None
    folder = Path(options.data)
    if named := ruler_files.lengths(folder):
        return named
    files = [ruler_files.find(folder, task) for task in _of_ruler(options)]
    counts = [ruler_files.longest(file) for file in files if file is not None]
    if not counts or None in counts:
        return None
    most = max(count for count in counts if count is not None)
    return [1 << (most - 1).bit_length()]
