"""What this project asks of a suite of other people's questions."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stages.benchmarks.params import QuestionsParams


@dataclass(frozen=True)
class Suite:
    """What is asked of a suite; each function takes the section first."""

    params: type[QuestionsParams]
    kinds: Sequence[str]
    """What ``--tasks`` may name."""
    data: str
    """What ``--data`` is the folder of."""
    tasks: Callable[[Any], Sequence[str]]
    samples: Callable[..., Iterator[dict[str, Any]]]
    """Also of a task, a length, the encoder and the tokens that a template takes."""
    files: Callable[[Any], Sequence[Path]]
    digest: Callable[[Any], Any]
    """Hash of the files, or one of each task's."""
    look: Callable[[Any], object]
    """Reads what a check reads; raises ``UserError``."""
