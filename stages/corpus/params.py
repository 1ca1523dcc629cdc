"""Params of the raw documents."""

from typing import Literal, Self

from pydantic import Field, model_validator

from stages.common.schema import Count, Section, Share


class PythonText(Section):
    """Real text found on every machine: the documentation and sources of the running Python."""

    max_bytes: Count
    """How much of it is taken, bytes of UTF-8."""


class Generated(Section):
    """Generated documents that state facts and ask for them again (``stages.corpus.generated``)."""

    share: Share
    """The generated documents' share of the training text, by bytes."""
    kinds: dict[str, float]
    """Kind of document -> its share of the generated documents, by count."""
    bytes: Count
    """Size of the generated part, bytes of UTF-8."""


class CorpusParams(Section):
    """Where the documents come from, and how they are split."""

    source: Literal["python", "local", "hub"]
    seed: int
    validation_share: Share = Field(gt=0.0, lt=0.5)
    """Share of the documents that are held out, by count."""
    python: PythonText | None = None
    generated: Generated | None = None
    path: str | None = None
    """``local``: a file, a folder or a glob of JSONL or Parquet (plain, .gz, .zst)."""
    dataset: str | None = None
    """``hub``: the dataset's id."""
    revision: str | None = None
    config: str | None = None
    text_field: str = "text"
    max_documents: Count | None = None
    """``local`` and ``hub``: take at most so many documents; none: all."""

    @model_validator(mode="after")
    def _source_is_described(self) -> Self:
        needed = {"python": "python", "local": "path", "hub": "dataset"}[self.source]
        if getattr(self, needed) is None:
            raise ValueError(f"source {self.source!r} needs the key {needed!r}")
        return self
