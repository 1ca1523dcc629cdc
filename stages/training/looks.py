"""When a run looks at itself, and how much it may read for that: counted, so that it is the same on
every machine and after every restart."""

from dataclasses import dataclass

from stages.common.windows import LONGEST
from stages.training.params import TrainingParams

SHARE = 0.008
"""Of the training's work, for reading held-out text and the probe."""
FORWARD = 1 / 3
"""Work of reading a token, of that of training on it."""
MOST, LEAST = 50, 2
"""Looks during a run; with fewer than ``LEAST`` there are none. The base has one of its own."""
PROMPTS = 50
WINDOWS = (32, 16, 8, 4)
"""Windows of held-out text per source: the most with which there still are ``MANY`` looks."""
MANY = 20
SHORTEST = 64


@dataclass(frozen=True)
class Due:
    """Looks at points of the loss curve, ``looks`` of them spread over the run, the last at its end.

    ``every``: steps between two points.
    """

    steps: int
    every: int
    looks: int

    def at(self, step: int) -> bool:
        """Whether a look is due after ``step`` steps."""
        if step != self.steps and step % self.every:
            return False
        before = (step - 1) // self.every * self.every
        return step * self.looks // self.steps != before * self.looks // self.steps


@dataclass(frozen=True)
class Reading:
    """What one look reads."""

    length: int
    """Tokens of a prompt with its answer, and of a window."""
    windows: int
    """Windows of each source."""
    looks: int


def reading(params: TrainingParams, sources: int) -> Reading | None:
    """The longest prompts and the most windows that ``SHARE`` allows; none: the run is too short."""
    length = min(params.longest, LONGEST)
    while length >= SHORTEST:
        for windows in WINDOWS:
            looks = _affordable(params, length, windows * sources)
            if looks >= (LEAST if windows == WINDOWS[-1] else MANY):
                return Reading(length, windows, min(looks, MOST))
        length //= 2
    return None


def _affordable(params: TrainingParams, length: int, windows: int) -> int:
    """Looks beside the base's."""
    each = (PROMPTS + windows) * length * FORWARD
    return int(SHARE * params.tokens / each) - 1
