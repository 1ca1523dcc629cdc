"""What a RULER task is to the builder: a row that drafts one sample from a haystack's size."""

from dataclasses import dataclass, replace
from random import Random
from typing import Protocol

from stages.benchmarks.haystack import Prose
from stages.benchmarks.params import RulerParams
from stages.benchmarks.words import Words
from stages.common.encoder import Encoder


@dataclass(frozen=True)
class Draft:
    """A sample before it is measured: the prompt is ``head + context + tail + prefix``."""

    head: str
    context: str
    tail: str
    prefix: str
    answers: tuple[str, ...]
    candidates: tuple[str, ...]
    """Every value of the context that could be an answer, the answers among them, once each."""
    ordered: bool = False
    """Whether the first answer has one place in the context (its depth is then recorded)."""

    @property
    def input(self) -> str:
        """The prompt without the answer prefix, as RULER stores it."""
        return self.head + self.context + self.tail

    @property
    def prompt(self) -> str:
        """What the model reads."""
        return self.input + self.prefix

    @property
    def shortcut(self) -> float | None:
        """Expected score of naming candidates at random, as many as there are answers.

        None where the context's candidates are not known.

        It needs no question: one needle in the haystack gives 1, four keys give 1/4. The single
        chain of official ``vt`` gives 1, for it has no other variables.
        """
        if not self.candidates:
            return None
        return min(1.0, len(self.answers) / len(self.candidates))


@dataclass(frozen=True, eq=False)  # hashed as itself: what was measured of it is kept
class Cell:
    """A task at a length, and what its samples are drawn from."""

    task: str
    length: int
    params: RulerParams
    seed: int
    encoder: Encoder
    words: Words
    prose: Prose
    reserved: int = 0
    """Tokens that a chat template takes."""

    @property
    def budget(self) -> int:
        """Tokens kept free for the answer."""
        return self.params.new_tokens[self.task]  # type: ignore[index]

    @property
    def room(self) -> int:
        """Most tokens of a prompt."""
        return self.length - self.budget - self.reserved

    def rng(self, name: int | str) -> Random:
        """The random source of one sample: the same in any process and any order."""
        return Random(f"{self.seed}/{self.task}/{self.length}/{name}")


def styled(cell: Cell, draft: Draft) -> Draft:
    """The draft as the cell's protocol joins it: the paper sets its answer prefix on a new line."""
    if not cell.params.answer_prefix:
        return replace(draft, prefix="")
    if cell.params.protocol == "repo-paper":
        return replace(draft, prefix="\n" + draft.prefix.removeprefix(" "))
    return draft


class Task(Protocol):
    """A row of the table in ``stages.benchmarks.ruler``."""

    @property
    def metric(self) -> str:
        """Name of its scorer."""

    def least(self, cell: Cell) -> int:
        """Smallest haystack that can hold the sample, in the task's own units."""

    def most(self, cell: Cell) -> int:
        """Largest haystack that can be made."""

    def step(self, cell: Cell) -> int:
        """Units by which a haystack is cut that came out too long."""

    def draft(self, cell: Cell, units: int, rng: Random) -> Draft:
        """A sample with a haystack of ``units``."""
