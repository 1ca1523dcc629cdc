"""Token files looked at before a run: sizes, headers, the last id, the first and last ids' range."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from stages.common.errors import UserError
from stages.common.findings import Finding, refuse, told, warn
from stages.common.seen import Seen, model_folder
from stages.corpus import listed
from stages.corpus.params import NamedSource

if TYPE_CHECKING:
    from stages.corpus.ready import TokenFile

SAMPLE = 1 << 16
"""Ids looked at on either side of a file; ``tokenize`` looks at all of them."""


def check(seen: Seen) -> Iterator[Finding]:
    """Findings of the sources that are token files."""
    sources = seen.params.corpus.ready
    if not sources:
        return
    asked = seen.params.tokenizer
    if asked.source == "train":
        yield refuse(
            "tokenizer.source",
            "train",
            f"the ids of corpus.sources.{next(iter(sources))} are another tokenizer's",
            "name the tokenizer that made them",
        )
        return
    folder = model_folder(asked.source, asked.revision, seen.root)
    for name, source in sources.items():
        yield from _source(seen, name, source, folder)


def _source(seen: Seen, name: str, source: NamedSource, folder: Path | None) -> Iterator[Finding]:
    from stages.corpus.ready import described  # NumPy: only where there are such files

    key = f"corpus.sources.{name}"
    if source.files is not None:
        yield from _listed(seen, name, source, folder)
        return
    assert source.path is not None
    if not seen.path(source.path).exists():
        level = seen.absent(source.path)
        yield level(f"{key}.path", source.path, "no such file or folder", "name the token files")
        return
    try:
        files = list(described(key, source, seen.root))
        if folder is not None and (folder / "tokenizer.json").is_file():
            yield from _against(seen, key, source, folder, files)
    except UserError as error:
        line = str(error)
        why, _, fix = line.partition("; ")
        yield (
            told(line)
            if line.startswith("corpus.")
            else refuse(f"{key}.path", source.path, why, fix or "correct it")
        )


def _listed(seen: Seen, name: str, source: NamedSource, folder: Path | None) -> Iterator[Finding]:
    """The list, the lock, the tokenizer; of the files what is here already."""
    from stages.common.tokenizer_file import identity
    from stages.corpus.ready import known_of, list_of, place

    key = f"corpus.sources.{name}"
    try:
        one = list_of(name, source, seen.root)
        known = known_of(source, seen.root)
        for file in one.files:
            path = place(source, file)
            if path.is_file() and not seen.elsewhere:
                listed.check(file, path.stat().st_size, None, known)
    except UserError as error:
        yield told(str(error))
        return
    if folder is not None and (folder / "tokenizer.json").is_file():
        own = identity(folder)
        if own != (source.tokenizer_hash or one.tokenizer_hash):
            yield refuse(
                f"{key}.files",
                source.files,
                f"its ids are of the tokenizer {one.tokenizer_hash}, that of this experiment is {own}",
                "take that tokenizer, or your own documents (corpus.path)",
            )


def _against(
    seen: Seen, key: str, source: NamedSource, folder: Path, files: list["TokenFile"]
) -> Iterator[Finding]:
    """The files against the tokenizer, where that is on this machine."""
    from stages.common.encoder import Encoder
    from stages.common.tokenizer_file import identity
    from stages.corpus.ready import ids
    from stages.tokenize.ready import cut_short

    own = identity(folder)
    if source.tokenizer_hash is None:
        yield warn(
            f"{key}.tokenizer_hash",
            None,
            "nothing says that this experiment's tokenizer made the ids",
            f"if it did, give its hash: {own}",
        )
    elif source.tokenizer_hash != own:
        yield refuse(
            f"{key}.tokenizer_hash",
            source.tokenizer_hash,
            f"the tokenizer of this experiment has {own}, so its ids mean other text",
            "take the tokenizer that made the files",
        )
        return
    encoder = Encoder(folder)
    eos, words = encoder.eos_id(), encoder.ids_end
    for file in files:
        found = ids(seen.path(file.file), file)
        for part in (found[:SAMPLE], found[-SAMPLE:]):
            if int(part.min()) < 0 or int(part.max()) >= words:
                raise UserError(
                    f"{file.file}: has the id {int(part.max())}, the tokenizer has ids up to "
                    f"{words - 1}; another dtype or another tokenizer made the file"
                )
        if len(found) > 1 and file.dtype == "<u2" and not found[:SAMPLE][1::2].any():
            raise UserError(f"{file.file}: every second id is 0; its dtype is uint32, not uint16")
        if source.whole_documents and int(found[-1]) != eos:
            raise cut_short(file.file, int(found[-1]), eos)
