"""The one typed schema of ``params.yaml``: each section is defined beside its stage."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from stages.analyze.params import AnalyzeParams
from stages.base.params import BaseParams
from stages.benchmarks.params import BenchmarksParams
from stages.common.migration import migrate
from stages.common.reading import parse, read_yaml
from stages.common.schema import NAME, Section
from stages.common.variants import Definition, positions_of, refuse_undefined
from stages.corpus.params import CorpusParams
from stages.evaluate.params import EvaluateParams
from stages.extend.params import ExtendParams
from stages.tokenize.params import TokenizeParams
from stages.tokenizer.params import TokenizerParams
from stages.train.params import TrainParams

MOST_TRAININGS = 1024
"""Variants x seeds: each is four stages. `plan` did not end in nine minutes over 6,000."""
Variant = Annotated[str, StringConstraints(pattern=NAME)]


class Params(Section):
    """Everything that identifies an experiment."""

    schema_version: Literal[2] = Field(alias="schema")
    """Version of this file (``stages.common.migration``)."""
    profile: str
    """Name of the profile this file started from; a label, tracked by no stage but the report."""
    variants: tuple[Variant, ...] = Field(min_length=1, strict=False)
    seeds: tuple[Annotated[int, Field(ge=0, lt=2**32)], ...] = Field(min_length=1, strict=False)
    reference: Variant
    """The variant that the others are compared with."""
    definitions: dict[Variant, Definition]
    """What each variant is; a preset's entry may be empty."""
    corpus: CorpusParams
    tokenizer: TokenizerParams
    tokenize: TokenizeParams
    base: BaseParams
    train: TrainParams
    extend: ExtendParams
    benchmarks: BenchmarksParams
    evaluate: EvaluateParams
    analyze: AnalyzeParams

    @model_validator(mode="after")
    def _sections_agree(self) -> Self:
        for name, values in (("variants", self.variants), ("seeds", self.seeds)):
            if len(set(values)) != len(values):
                raise ValueError(f"{name} names one twice: {list(values)}; name each once")
        if (count := len(self.variants) * len(self.seeds)) > MOST_TRAININGS:
            raise ValueError(
                f"seeds has {len(self.seeds):,} for each of {len(self.variants):,} variants: {count:,} "
                f"trainings; give {MOST_TRAININGS:,} at most"
            )
        self._variants_are_defined()
        shape = self.base.architecture
        if shape is not None:
            for name in self.variants:
                self.positions(name, shape.num_hidden_layers)
        for name in self.variants:
            window = self.train_of(name).longest * self.extend.factor
            if max(self.benchmarks.lengths) > window:
                own = "lengths" in self.definitions[name].train.overrides
                of = f"definitions.{name}.train.overrides" if own else "train"
                raise ValueError(
                    f"benchmarks.lengths has {max(self.benchmarks.lengths)}, beyond the extended "
                    f"window of {window:g} (the longest of {of}.lengths x extend.factor); drop it, "
                    "or raise extend.factor"
                )
        return self

    def _variants_are_defined(self) -> None:
        for name in self.variants:
            if name == "base":
                raise ValueError(
                    "variants has 'base', the name of the model they start from; take another name"
                )
            if name not in self.definitions:
                raise ValueError(f"definitions.{name}: missing; every variant needs an entry")
        for name, one in self.definitions.items():
            refuse_undefined(name, one.train)
            self.train.with_overrides(one.train.overrides, f"definitions.{name}.train.overrides")
            for entry in one.evaluate.softmax_scale:
                if entry.length not in self.benchmarks.lengths:
                    raise ValueError(
                        f"definitions.{name}.evaluate.softmax_scale has length {entry.length}, "
                        f"but benchmarks.lengths are {list(self.benchmarks.lengths)}; give one of them"
                    )
        if self.reference not in self.variants:
            raise ValueError(
                f"reference is {self.reference!r}, which is not in variants; "
                f"name one of {', '.join(self.variants)}"
            )

    def positions(self, variant: str, layers: int) -> list[str]:
        """The variant's position type for each of ``layers`` layers."""
        defined = self.definitions[variant].train
        return positions_of(variant, defined, layers, self.train.start_layer)

    def train_of(self, variant: str) -> TrainParams:
        """``train`` with the variant's overrides."""
        overrides = self.definitions[variant].train.overrides
        return self.train.with_overrides(overrides, f"definitions.{variant}.train.overrides")


def load(path: Path) -> Params:
    """Read and check a params file of this schema or an earlier one.

    A mistake is a ``UserError`` that names key, value and fix.
    """
    return parse(Params, migrate(read_yaml(path)), str(path))
