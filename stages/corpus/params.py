"""Params of the raw documents."""

from pathlib import PurePosixPath
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from stages.common.needs import NAMED, watched
from stages.common.schema import SOURCE_NAME, Count, Section, Share, new

PYTHON_LEFT_OUT = frozenset(
    ("test", "tests", "idlelib", "lib2to3", "site-packages", "__pycache__", "pydoc_data")
)
"""Folders of the standard library that no text is taken from."""


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


Name = Annotated[str, StringConstraints(pattern=SOURCE_NAME)]


class NamedSource(Section):
    """A source under a name of the user's, which training phases may ask for."""

    kind: Literal["local", "hub", "tokens"]
    """``local`` and ``hub``: documents. ``tokens``: files of token ids, made elsewhere."""
    path: str | None = None
    """``local`` and ``tokens``: a file or a folder, relative to the project or absolute."""
    files: str | None = new(None)
    """``tokens``, in place of ``path``: a published list of token files (``stages.corpus.listed``);
    they are fetched once for all runs, or read where ``REPO_TOKEN_FILES`` has them."""
    dataset: str | None = None
    """``hub``: the dataset's id."""
    revision: str | None = None
    config: str | None = None
    text_field: str = "text"
    on_bad_row: Literal["stop", "skip"] = "stop"
    max_documents: Count | None = None
    """``local`` and ``hub``: take at most so many documents; none: all."""
    max_bytes: Count | None = new(None)
    """``local`` and ``hub``: take documents until they have so many bytes of UTF-8; none: all."""
    dtype: Literal["uint16", "uint32"] | None = None
    """``tokens``: little-endian ids of files without a header (none: uint32, as OLMo's are). A file
    that begins as NumPy's .npy does says its own."""
    tokenizer_hash: str | None = None
    """``tokens``: ``stages.common.tokenizer_file.identity`` of the tokenizer that made the ids; it
    must be that of this experiment's. None: only the range of the ids is checked."""
    whole_documents: bool = True
    """``tokens``: every file ends with an eos; one that does not was cut short. False: not checked."""

    @model_validator(mode="after")
    def _kind_is_described(self) -> Self:
        needed = "dataset" if self.kind == "hub" else "path"
        if self.files is not None:
            if self.kind != "tokens" or self.path is not None:
                raise ValueError("files is for kind 'tokens', in place of path; leave one out")
        elif getattr(self, needed) is None:
            raise ValueError(f"kind {self.kind!r} needs the key {needed!r}; give it")
        if self.kind == "tokens" and (self.max_bytes or self.max_documents):
            raise ValueError(
                "max_bytes and max_documents are for documents, not for kind 'tokens'; leave them out"
            )
        own = {"dataset": "hub", "revision": "hub", "config": "hub", "dtype": "tokens",
               "tokenizer_hash": "tokens"}  # fmt: skip
        for key, kind in own.items():
            if kind != self.kind and getattr(self, key) is not None:
                raise ValueError(f"{key} is for kind {kind!r}, not {self.kind!r}; leave it out")
        if self.path is not None and self.kind == "hub":
            raise ValueError("path is for kind 'local' or 'tokens', not 'hub'; leave it out")
        return self


class CorpusParams(Section):
    """Where the documents come from, and how they are split."""

    source: Literal["python", "local", "hub", "named"]
    needs: str
    """What DVC watches: ``path`` itself (local), the folder that the paths of ``sources`` share, else
    ``stages/corpus/version.py``."""
    seed: int
    validation_share: Share = Field(gt=0.0, lt=0.5)
    """Share of the documents that are held out, by count."""
    python: PythonText | None = None
    generated: dict[Name, Generated] = Field(default_factory=dict)
    """Parts of generated documents by name; a training phase may ask for some of them alone."""
    sources: dict[Name, NamedSource] = new({})
    """Further sources by name; with ``source: named`` the only ones."""
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
        needed = {"python": "python", "local": "path", "hub": "dataset", NAMED: "sources"}[
            self.source
        ]
        if not getattr(self, needed):
            raise ValueError(
                f"source {self.source!r} needs the key {needed!r}; give corpus.{needed}"
            )
        for where, taken in (
            ("generated", {self.source}),
            ("sources", {self.source, *self.generated}),
        ):
            if twice := taken & set(getattr(self, where)):
                raise ValueError(
                    f"{where}.{min(twice)}: another source has that name; take a new one"
                )
        self._is_watched()
        return self

    def _is_watched(self) -> None:
        given = (one.path or one.files for one in self.sources.values())
        paths = list(dict.fromkeys(path for path in given if path is not None))
        if self.source == "local" and self.path is not None:
            paths = [self.path, *(path for path in paths if path != self.path)]
        wanted = paths[0] if len(paths) == 1 else watched(paths)
        if wanted in (".", "/"):
            raise ValueError(
                f"the paths {', '.join(paths)} share no folder that DVC could watch; move them, or "
                "hard links to their files, into one folder"
            )
        if PurePosixPath(self.needs) != PurePosixPath(wanted):
            raise ValueError(
                f"needs is {self.needs!r}; with source {self.source!r} it is {wanted!r}"
            )

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all sources, as training phases ask for them."""
        own = () if self.source == NAMED else (self.source,)
        return (*own, *self.generated, *self.sources)

    def kind(self, name: str) -> str:
        """``python``, ``generated``, ``local``, ``hub`` or ``tokens``."""
        if name in self.generated:
            return "generated"
        return self.sources[name].kind if name in self.sources else self.source

    @property
    def ready(self) -> dict[str, NamedSource]:
        """The sources that are token files."""
        return {name: one for name, one in self.sources.items() if one.kind == "tokens"}
