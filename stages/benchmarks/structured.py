"""Suites of other people's questions, each with a section of ``benchmarks``: one table of them.

Beside this project's own stand those that installed packages bring (``stages.benchmarks.outside``).
"""

from collections.abc import Iterator, Mapping
from typing import Any

from stages.benchmarks import hybridqa, longbench_v2, nlgraph, outside
from stages.benchmarks.params import (
    NLGRAPH_TASKS,
    STRUCTURED,
    BenchmarksParams,
    HybridQAParams,
    LongBenchV2Params,
    NLGraphParams,
)
from stages.benchmarks.suite import Suite

OWN: Mapping[str, Suite] = {
    nlgraph.SUITE: Suite(
        NLGraphParams,
        NLGRAPH_TASKS,
        "NLGraph's <task>/test.json files",
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
        longbench_v2.tasks,
        longbench_v2.samples,
        longbench_v2.files,
        longbench_v2.digest,
        longbench_v2.rows,
    ),
}


def names() -> list[str]:
    """Of all suites that there are here."""
    return [*OWN, *outside.names()]


def suite(name: str) -> Suite:
    """A suite by its name; ``UserError`` where no installed package brings it."""
    return OWN[name] if name in OWN else outside.suite(name)


def digests(params: BenchmarksParams) -> dict[str, Any]:
    """Hashes of what the wanted suites read; of installed packages' under ``outside``."""
    found = {name: one.digest(section) for name, one, section in asked(params)}
    others = {name: digest for name, digest in found.items() if name not in STRUCTURED}
    own = {name: digest for name, digest in found.items() if name in STRUCTURED}
    return own | ({"outside": others} if others else {})


def asked(params: BenchmarksParams) -> Iterator[tuple[str, Suite, Any]]:
    """Name, suite and section of those that are wanted."""
    for name, section in params.structured.items():
        yield name, suite(name), section
