"""Suites of other people's questions, each with a section of ``benchmarks``: one table of them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stages.benchmarks import hybridqa, longbench_v2, nlgraph
from stages.benchmarks.params import (
    NLGRAPH_TASKS,
    BenchmarksParams,
    HybridQAParams,
    LongBenchV2Params,
    NLGraphParams,
    QuestionsParams,
)


@dataclass(frozen=True)
class Suite:
    """What is asked of a suite; each function takes the section first."""

    params: type[QuestionsParams]
    kinds: Sequence[str]
    """What ``--tasks`` may name."""
    data: str
    """What ``--data`` is the folder of."""
    rows: int
    """About how many questions a task has."""
    tasks: Callable[[Any], Sequence[str]]
    samples: Callable[..., Iterator[dict[str, Any]]]
    """Also of a task, a length, the encoder and the tokens that a template takes."""
    files: Callable[[Any], Sequence[Path]]
    digest: Callable[[Any], Any]
    """Hash of the files, or one of each task's."""
    look: Callable[[Any], object]
    """Reads what a check reads; raises ``UserError``."""


SUITES: Mapping[str, Suite] = {
    nlgraph.SUITE: Suite(
        NLGraphParams,
        NLGRAPH_TASKS,
        "NLGraph's <task>/test.json files",
        60,
        nlgraph.cells,
        nlgraph.samples,
        nlgraph.files,
        nlgraph.digests,
        lambda those: [list(nlgraph.wanted(those, cell)) for cell in nlgraph.cells(those)],
    ),
    hybridqa.SUITE: Suite(
        HybridQAParams,
        (hybridqa.TASK,),
        "HybridQA, with WikiTables-WithLinks in it",
        1400,  # answers in the table, dev
        lambda those: (hybridqa.TASK,),
        hybridqa.samples,
        hybridqa.files,
        hybridqa.digest,
        hybridqa.files,
    ),
    longbench_v2.SUITE: Suite(
        LongBenchV2Params,
        (longbench_v2.TASK,),
        "LongBench v2's data.json",
        503,
        longbench_v2.tasks,
        longbench_v2.samples,
        longbench_v2.files,
        longbench_v2.digest,
        longbench_v2.rows,
    ),
}


def asked(params: BenchmarksParams) -> Iterator[tuple[str, Suite, Any]]:
    """Name, suite and section of those that are wanted."""
    for name, section in params.structured.items():
        yield name, SUITES[name], section
