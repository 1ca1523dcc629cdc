"""Which text each of RULER's tasks is made of, and whether it is the official one."""

from pathlib import Path

from stages.benchmarks import corpora, ruler
from stages.benchmarks.niah import Niah
from stages.benchmarks.questions import Questions

TEXTS = ("prose", "squad", "hotpotqa")
OFFICIAL, GENERATED, OWN = "official", "generated", "own"
"""Kinds of text. Essays have no official digest: a file of them counts as what it says it is."""


def text_of(task: str) -> str | None:
    """The corpus that a RULER task reads; none: it needs no text from outside."""
    row = ruler.TASKS.get(task)
    if isinstance(row, Niah):
        return "prose" if row.haystack == "prose" else None
    return row.kind if isinstance(row, Questions) else None


def kind_of(corpus: str, source: str, sha256: str) -> str:
    """``source`` is the setting, ``sha256`` that of the text that was read."""
    if source == corpora.GENERATED:
        return GENERATED
    if corpus == "prose":
        return OFFICIAL if Path(source.partition("#")[0]).suffix == ".json" else OWN
    return OFFICIAL if sha256 == corpora.digest(corpus) else OWN
