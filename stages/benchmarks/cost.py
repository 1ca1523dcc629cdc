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
STRUCTURED = {"nlgraph": (60, 512), "hybridqa": (1400, 32), "longbench_v2": (503, 128)}
"""Questions of a task (NLGraph: at a level, about), and new tokens of an answer."""
OUTSIDE = (100, 64)
"""The same of a suite that an installed package brings: assumed."""


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
    for name, suite in wanted.structured.items():
        each, budget = STRUCTURED.get(name, OUTSIDE)
        rows = min(each, suite.samples or each)
        tasks = len(getattr(suite, "tasks", "1") or "1") * len(getattr(suite, "levels", "1"))
        for length in suite.lengths or wanted.lengths[:1]:
            for _ in range(tasks):
                yield Cell(length, rows, suite.new_tokens or budget)


def cost(params: "Params", variant: str | None, layout: Layout) -> Cost:
    """Tokens of all samples."""
    tokens = sum(cell.samples * cell.length for cell in cells(params))
    return Cost(
        tokens=tokens,
        core_seconds=tokens / TOKENS_PER_CORE_SECOND,
        disk_bytes=tokens * BYTES_PER_TOKEN,
    )
