"""The one typed schema of ``params.yaml``: each section is defined beside its stage."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from stages.analyze.params import AnalyzeParams
from stages.base.params import BaseParams
from stages.benchmarks.params import BenchmarksParams
from stages.common.reading import parse, read_yaml
from stages.common.schema import Section
from stages.corpus.params import CorpusParams
from stages.evaluate.params import EvaluateParams
from stages.extend.params import ExtendParams
from stages.tokenize.params import TokenizeParams
from stages.tokenizer.params import TokenizerParams
from stages.train.params import TrainParams

Variant = Literal["rope", "nope", "r2n1", "n2r1", "repo"]


class Params(Section):
    """Everything that identifies an experiment."""

    profile: str
    """Name of the profile this file started from; a label, tracked by no stage but the report."""
    variants: tuple[Variant, ...] = Field(min_length=1, strict=False)
    seeds: tuple[Annotated[int, Field(ge=0)], ...] = Field(min_length=1, strict=False)
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
                raise ValueError(f"{name} names one twice: {list(values)}")
        shape = self.base.architecture
        if shape is not None and self.train.start_layer >= shape.num_hidden_layers:
            raise ValueError(
                f"train.start_layer is {self.train.start_layer}, but "
                f"base.architecture.num_hidden_layers is {shape.num_hidden_layers}: "
                "no layer would learn positions"
            )
        window = self.train.longest * self.extend.factor
        if max(self.benchmarks.lengths) > window:
            raise ValueError(
                f"benchmarks.lengths has {max(self.benchmarks.lengths)}, beyond the extended "
                f"window of {window:g} (the longest of train.lengths x extend.factor)"
            )
        return self


def load(path: Path) -> Params:
    """Read and check a params file; a mistake is a ``UserError`` that names key, value and mend."""
    return parse(Params, read_yaml(path), str(path))
