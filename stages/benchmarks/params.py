"""Params of the benchmark samples."""

from typing import Annotated, Literal

from pydantic import Field

from stages.common.schema import Count, Section

RulerTask = Literal["niah_single_1", "niah_multikey_1", "vt", "cwe"]


class RulerParams(Section):
    """RULER by the rules of NVIDIA/RULER@c3f5e3b, scaled by these numbers."""

    tasks: tuple[RulerTask, ...] = Field(strict=False)
    samples: Count
    """Samples per task and length."""
    value_digits: Count
    """Digits of a needle's value (official: 7)."""
    new_tokens: dict[RulerTask, Count]
    """Generation budget per task; it counts towards the length, as in the official rules."""
    increment_lines: Count
    """Noise lines by which a haystack is fitted to the length."""
    vt_hops: Count
    """Variable tracking: hops of the chain (official: 4)."""
    vt_example: bool
    """Put one worked example before the question, as official; needs some hundred tokens."""
    cwe_common: Count
    """Common words that are asked for (official: 10)."""
    cwe_repeats: tuple[Count, Count] = Field(strict=False)
    """How often a common and an uncommon word stand in the list (official: 30 and 3; short: 6, 1)."""
    cwe_example: bool


class LongBenchParams(Section):
    """Tasks in LongBench's JSONL layout."""

    tasks: tuple[str, ...] = Field(strict=False)
    path: str | None = None
    """Folder of ``<task>.jsonl``; none: the small generated set that ships with the project."""
    samples: Count | None = None
    """At most so many samples per task; none: all."""


class BenchmarksParams(Section):
    """Samples that are built once and kept with their token ids."""

    seed: Annotated[int, Field(ge=0)]
    lengths: tuple[Count, ...] = Field(min_length=1, strict=False)
    """Context lengths in tokens, the generation budget included; the first is the trained length."""
    ruler: RulerParams
    longbench: LongBenchParams
