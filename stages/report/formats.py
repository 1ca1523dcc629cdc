"""How numbers are written in the report's tables and sentences."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from stages.report.paper import LABELS as PRESETS

_labels: ContextVar[Mapping[str, str]] = ContextVar("labels", default=PRESETS)

NONE = "–"
"""Stands where there is nothing to show."""


def number(value: float | None, digits: int) -> str:
    """``43.0``, or a dash."""
    return NONE if value is None else f"{value:.{digits}f}"


def plus_minus(value: float, error: float | None, digits: int) -> str:
    """``43.0 ± 4.9``."""
    text = number(value, digits)
    return text if error is None else f"{text} ± {error:.{digits}f}"


def signed(value: float, digits: int = 1) -> str:
    """``+3.0``; negative with a true minus sign."""
    return ("−" if value < 0 else "+") + number(abs(value), digits)


def signed_error(value: float, error: float | None, digits: int) -> str:
    """``+3.0 ± 6.8``; negative with a true minus sign."""
    return ("−" if value < 0 else "+") + plus_minus(abs(value), error, digits)


def between(value: float, low: float | None, high: float | None) -> str:
    """``+3.0 [−1.2, +7.2]``."""
    if low is None or high is None:
        return signed(value)
    return f"{signed(value)} [{signed(low)}, {signed(high)}]"


def score(cell: Mapping[str, Any]) -> str:
    """``43.0 ± 4.9``, with several seeds ``43.0 ± 4.9 (seeds ± 2.1)``."""
    text = plus_minus(cell["score"], cell["stderr"], 1)
    return text if cell["spread"] is None else f"{text} (seeds ± {cell['spread']:.1f})"


def loss(entry: Mapping[str, Any]) -> str:
    """``2.314 ± 0.021``, with the spread between several seeds behind it."""
    text = plus_minus(entry["loss"], entry["stderr"], 3)
    return text if entry["spread"] is None else f"{text} (seeds ± {entry['spread']:.3f})"


def label(variant: str) -> str:
    """``RePo`` for ``repo``; a variant of the user's own is shown as ``definitions`` says."""
    return _labels.get().get(variant, variant)


@contextmanager
def labelled(labels: Mapping[str, str]) -> Iterator[None]:
    """Show the variants by ``labels`` (``metrics["labels"]``) until the block ends."""
    token = _labels.set({**PRESETS, **labels})
    try:
        yield
    finally:
        _labels.reset(token)


def listing(words: Iterable[object]) -> str:
    """``a, b and c``."""
    parts = [str(word) for word in words]
    return " and ".join(filter(None, [", ".join(parts[:-1]), *parts[-1:]]))


def each_cell(
    cells: Mapping[str, Mapping[str, Mapping[str, dict[str, Any]]]],
) -> Iterator[tuple[str, str, str, dict[str, Any]]]:
    """Suite, task, length and figures of every cell; lengths from short to long."""
    for suite in suites(cells):
        for task, lengths in cells[suite].items():
            for length in sorted(lengths, key=int):
                yield suite, task, length, lengths[length]


def task_name(suite: str, task: str) -> str:
    """RULER's tasks bare, the others with their suite."""
    return task if suite == "ruler" else f"{task} ({suite})"


def suites(cells: Iterable[str]) -> list[str]:
    """RULER first: the others are read after it."""
    return sorted(cells, key=lambda suite: (suite != "ruler", suite))


_SUITES = {
    "ruler": "RULER",
    "longbench": "LongBench",
    "longbench_e": "LongBench-E",
    "nlgraph": "NLGraph",
    "hybridqa": "HybridQA",
    "longbench_v2": "LongBench v2",
}


def suite_name(suite: str) -> str:
    """As the authors of the suite write it."""
    return _SUITES.get(suite, suite)
