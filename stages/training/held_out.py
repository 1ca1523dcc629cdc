"""What a run reads of held-out text and of the probe while it trains: the rows, how they are scored
over the ranks, and what of it is an alarm beside the base model.

Each row is a pass of its own, and the figures are made as ``repo-pipeline evaluate MODEL --data FILE``
makes them from the same rows (``write``): on a CPU in fp32 they are equal.
"""

import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from stages.common import windows
from stages.common.encoder import Encoder
from stages.common.files import write_jsonl
from stages.common.tokens import SPLIT, TokenStore
from stages.training import probe
from stages.training.looks import PROMPTS, Reading, reading
from stages.training.order import DataOrder
from stages.training.run import Run

FILE = "samples.jsonl"
HELD_OUT, PROBE = "held_out", "probe"
Figures = dict[str, float]
"""``held_out.<source>``: nats per token; ``probe``: share of its prompts that are answered."""
Scores = Callable[[Tensor], tuple[Tensor, Tensor]]
"""Of ids_1T: the loss of each token but the first, and the most likely token in its place."""


@dataclass(frozen=True)
class Row:
    """A window of a source, or (``answer`` > 0) a prompt with its answer at the end."""

    ids: list[int]
    source: str | None = None
    answer: int = 0


@dataclass(frozen=True)
class Samples:
    """All that a look reads."""

    rows: Sequence[Row]
    looks: int

    @property
    def prompts(self) -> int:
        """Prompts among the rows."""
        return sum(1 for row in self.rows if row.answer)


def samples(run: Run, order: DataOrder, store: TokenStore) -> Samples | None:
    """What this run reads; none for a run without a base or a tokenizer, or one that is too short."""
    if run.base is None or not (run.base / "tokenizer.json").is_file():
        return None
    read = {name for phase in order.phases for name in phase.sources or store.sources("train")}
    sources = sorted(read & set(windows.sources(store)))
    chosen = reading(run.params, len(sources))
    if chosen is None:
        return None
    rows = [*_windows(store, sources, chosen), *_prompts(run.base, chosen.length)]
    return Samples(rows, chosen.looks) if rows else None


def _windows(store: TokenStore, sources: Sequence[str], chosen: Reading) -> Iterator[Row]:
    for source in sources:
        stream = store.stream(SPLIT, [source])
        most = chosen.windows * chosen.length
        for window in windows.windows(store, source, chosen.length, most):
            yield Row(stream.read(window.start, window.length).tolist(), source)


def _prompts(base: Path, length: int) -> Iterator[Row]:
    for prompt in probe.prompts(Encoder(base), length):
        yield Row([*prompt.ids, *prompt.answer], answer=len(prompt.answer))


def write(folder: Path, rows: Sequence[Row]) -> None:
    """Leave the rows as a file that ``repo-pipeline evaluate MODEL --data FILE`` reads."""
    write_jsonl(folder / FILE, map(_record, rows))


def _record(row: Row) -> dict[str, Any]:
    if not row.answer:
        return {"source": row.source, "ids": row.ids}
    return {"prompt_ids": row.ids[: -row.answer], "answer_ids": row.ids[-row.answer :]}


@torch.no_grad()
def look(rows: Sequence[Row], scores: Scores, device: torch.device) -> Figures:
    """Figures of the model behind ``scores``; every rank calls it and reads its share.

    All take equally many passes, for at ZeRO 3 a pass needs every rank.
    """
    rank, world = dist.get_rank(), dist.get_world_size()
    found = torch.zeros(len(rows), dtype=torch.float64, device=device)
    for first in range(0, len(rows), world):
        place = first + rank
        row = rows[min(place, len(rows) - 1)]
        value = _score(row, *scores(torch.tensor([row.ids], device=device)))
        if place < len(rows):
            found[place] = value
    dist.all_reduce(found)
    return summary(rows, found.tolist())


def _score(row: Row, loss_1T: Tensor, best_1T: Tensor) -> Tensor:
    if not row.answer:
        return loss_1T.double().mean()
    wanted = torch.tensor(row.ids[-row.answer :], device=best_1T.device)
    return (best_1T[0, -row.answer :] == wanted).all().double()


def summary(rows: Sequence[Row], values: Sequence[float]) -> Figures:
    """Means over the rows of each kind."""
    groups: dict[str, list[float]] = {}
    for row, value in zip(rows, values, strict=True):
        name = PROBE if row.answer else f"{HELD_OUT}.{row.source}"
        groups.setdefault(name, []).append(value)
    return {name: round(statistics.fmean(found), 6) for name, found in groups.items()}


WORSE, GREW = 0.02, 0.2
"""Nats: above the base once the run has settled; above the run's own lowest at any time."""
FORGOT = 0.2
"""Share of the prompts that the base answers and the model does not, once the run has settled."""


def troubles(
    now: Figures, base: Figures, lowest: Figures, settled: bool
) -> Iterator[tuple[str, bool, str]]:
    """Name, whether it is so, and the line, of everything that could be wrong with ``now``."""
    for name, value in now.items():
        before = base.get(name)
        if name == PROBE:
            if before is not None:
                lost = settled and value < before - FORGOT
                line = f"the probe is at {value:.0%}, the base's at {before:.0%}"
                yield name, lost, f"{line} of {PROMPTS} prompts"
            continue
        source = name.removeprefix(f"{HELD_OUT}.")
        if before is not None:
            line = f"held-out loss of {source} is {value:.3f}, the base's {before:.3f}"
            yield name, settled and value > before + WORSE, line
        least = lowest.get(name, value)
        line = f"held-out loss of {source} grew from {least:.3f} to {value:.3f}"
        yield f"{name}.grew", value > least + GREW, line
