"""What ``repo-pipeline evaluate`` was asked for, as settings of samples."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from stages.benchmarks import hybridqa, longbench, nlgraph, official, ruler
from stages.benchmarks.params import (
    NLGRAPH_TASKS,
    BenchmarksParams,
    HybridQAParams,
    LongBenchParams,
    NLGraphParams,
)
from stages.benchmarks.samples import known_task, sources
from stages.common.errors import UserError

_FOLDERS = {
    longbench.SUITE: "LongBench's <task>.jsonl files",
    nlgraph.SUITE: "NLGraph's <task>/test.json files",
    hybridqa.SUITE: "HybridQA, with WikiTables-WithLinks in it",
}


def chosen(options: Any, lengths: Sequence[int]) -> list[BenchmarksParams]:
    """Settings of one task at one length each; NLGraph's levels of a task are together."""
    names = options.tasks.split(",") if options.tasks else _all_tasks(options)
    return [
        _cell(options, task, length)
        for task in dict.fromkeys(name.strip() for name in names)
        for length in lengths
    ]


def _cell(options: Any, task: str, length: int) -> BenchmarksParams:
    suite = options.suite
    if suite == ruler.SUITE:
        known_task("--tasks", task)
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
            **sources(options),
        ),
        longbench=LongBenchParams(tasks=(task,) if suite == longbench.SUITE else (), **asked),
        **_structured(suite, task, asked),
    )


def _structured(suite: str, task: str, asked: dict[str, Any]) -> dict[str, Any]:
    """The section of a suite over structured data, if that is the one."""
    if suite not in (nlgraph.SUITE, hybridqa.SUITE):
        return {}
    known: Sequence[str] = NLGRAPH_TASKS if suite == nlgraph.SUITE else (hybridqa.TASK,)
    if task not in known:
        raise UserError(f"--tasks is {task!r}: unknown; known are {', '.join(known)}")
    if asked["path"] is None:
        raise UserError(f"--data is missing: give the folder of {_FOLDERS[suite]}")
    if suite == nlgraph.SUITE:
        return {suite: NLGraphParams.model_validate({**asked, "tasks": [task]})}
    return {suite: HybridQAParams(**asked)}


def _all_tasks(options: Any) -> Sequence[str]:
    """All tasks of the suite; of LongBench those whose files are in the folder."""
    every = {
        ruler.SUITE: official.TASKS,
        nlgraph.SUITE: NLGRAPH_TASKS,
        hybridqa.SUITE: (hybridqa.TASK,),
    }
    if options.suite in every:
        return every[options.suite]
    if options.data is None:
        raise UserError(f"--data is missing: give the folder of {_FOLDERS[longbench.SUITE]}")
    present = [
        task for task in longbench.metrics() if (Path(options.data) / f"{task}.jsonl").is_file()
    ]
    if not present:
        raise UserError(f"--data is {options.data!r}: none of LongBench's <task>.jsonl in it")
    return present
