"""Samples that are built once."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from stages.common.cost import Cost, Layout

if TYPE_CHECKING:
    from stages.params import Params

TOKENS_PER_CORE_SECOND = 0.7e6
"""Of one process (``stages.benchmarks.stage``)."""
BYTES_PER_TOKEN = 10.0
"""Text and token ids as JSON."""
LONGBENCH_ROWS = 200
"""Of a LongBench task (150 in one); the generated set has 30."""
NLGRAPH_ROWS = 60
"""About, of a task at a level."""
HYBRIDQA_ROWS = 1400
"""Of the dev set, with the answer in the table."""


class Cell(NamedTuple):
    """Samples of one task at one length."""

    length: int
    samples: int
    new_tokens: int


def cells(params: "Params") -> Iterator[Cell]:
    """All cells; rows that are not RULER's are counted at full length."""
    wanted = params.benchmarks
    rows = LONGBENCH_ROWS if wanted.longbench.path else 30
    rows = min(rows, wanted.longbench.samples or rows)
    for length in wanted.lengths:
        for task in wanted.ruler.tasks:
            samples = wanted.ruler.samples_at(task, length)
            if samples:
                yield Cell(length, samples, wanted.ruler.new_tokens[task])
        for _ in wanted.longbench.tasks:
            yield Cell(length, rows, 128)
    if wanted.nlgraph:
        rows = min(NLGRAPH_ROWS, wanted.nlgraph.samples or NLGRAPH_ROWS)
        for length in wanted.nlgraph.lengths or wanted.lengths[:1]:
            for _ in range(len(wanted.nlgraph.tasks) * len(wanted.nlgraph.levels)):
                yield Cell(length, rows, wanted.nlgraph.new_tokens or 512)
    if wanted.hybridqa:
        rows = min(HYBRIDQA_ROWS, wanted.hybridqa.samples or HYBRIDQA_ROWS)
        for length in wanted.hybridqa.lengths or wanted.lengths[:1]:
            yield Cell(length, rows, wanted.hybridqa.new_tokens or 32)


def cost(params: "Params", variant: str | None, layout: Layout) -> Cost:
    """Tokens of all samples."""
    tokens = sum(cell.samples * cell.length for cell in cells(params))
    return Cost(
        tokens=tokens,
        core_seconds=tokens / TOKENS_PER_CORE_SECOND,
        disk_bytes=tokens * BYTES_PER_TOKEN,
    )
