"""Params of the raw documents."""

from typing import Literal, Self

from pydantic import Field, model_validator

from stages.common.schema import Count, Section, Share, new


class PythonText(Section):
    """Real text found on every machine: the documentation and sources of the running Python."""

    max_bytes: Count
    """How much of it is taken, bytes of UTF-8."""


class Generated(Section):
    """Generated documents that state facts and ask for them again (``stages.corpus.generated``)."""

    kinds: dict[str, Share]
    """Kind of document -> its share of the words."""
    words: tuple[Count, Count] = Field(strict=False)
    """Least and most words that a document aims at."""
    bytes: Count
    """Size of the part, bytes of UTF-8."""


NOTHING = "stages/corpus/version.py"
"""What ``needs`` names when the documents come from no file of the user's."""


class CorpusParams(Section):
    """Where the documents come from, and how they are split."""

    source: Literal["python", "local", "hub"]
    needs: str
    """What DVC watches: ``path`` itself (local), else ``stages/corpus/version.py``."""
    seed: int
    validation_share: Share = Field(gt=0.0, lt=0.5)
    """Share of the documents that are held out, by count."""
    python: PythonText | None = None
    generated: dict[str, Generated] = Field(default_factory=dict)
    """Parts of generated documents by name; a training phase may ask for some of them alone."""
    path: str | None = None
    """``local``: a file or a folder of JSONL, JSON or .txt (plain, .gz, .zst, .bz2), or of Parquet.

    A .txt file is one document. Hidden files and what hubs and editors add are left out."""
    dataset: str | None = None
    """``hub``: the dataset's id."""
    revision: str | None = None
    config: str | None = None
    text_field: str = "text"
    """Field or column of the text; ``a.b`` is the field ``b`` inside ``a``."""
    on_bad_row: Literal["stop", "skip"] = new("stop")
    """A row without a text (null, missing, not UTF-8, a broken line): an error, or counted and
    left out."""
    max_documents: Count | None = None
    """``local`` and ``hub``: take at most so many documents; none: all."""

    @model_validator(mode="after")
    def _source_is_described(self) -> Self:
        needed = {"python": "python", "local": "path", "hub": "dataset"}[self.source]
        if getattr(self, needed) is None:
            raise ValueError(f"source {self.source!r} needs the key {needed!r}")
        watched = self.path if self.source == "local" else NOTHING
        if self.needs != watched:
            raise ValueError(
                f"needs is {self.needs!r}; with source {self.source!r} it is {watched!r}"
            )
        return self
