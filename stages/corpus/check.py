"""The documents: there, not empty, with the text field; room for them."""

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from stages.common.errors import UserError
from stages.common.findings import Finding, refuse, told, warn
from stages.common.needs import READ_BY
from stages.common.seen import Seen, is_hub_id
from stages.common.token_files import home
from stages.corpus import ready_check as ready
from stages.corpus.cost import fetch_bytes, source_bytes, text_bytes, written_bytes
from stages.corpus.params import CorpusParams
from stages.corpus.splits import LIMIT, without

if TYPE_CHECKING:
    from stages.corpus.starts import Start


def check(seen: Seen) -> Iterator[Finding]:
    """Findings of ``corpus``."""
    corpus = seen.params.corpus
    starts: dict[str, Start] = {}
    unread = [one for name, path in _paths(corpus) for one in _local(seen, name, path, starts)]
    yield from unread
    yield from _hub(seen)
    for name, one in corpus.sources.items():
        if one.kind == "hub" and one.revision is None:
            level = warn if seen.planning else refuse
            yield level(
                f"corpus.sources.{name}.revision",
                None,
                "without one, the same params can mean other data tomorrow",
                f"give a commit of {one.dataset}",
            )
    yield from _unread(seen)
    yield from _twice(seen)
    yield from ready.check(seen)
    yield from _room(seen)
    size = text_bytes(seen.params, seen.root)
    if any(one.level == "refuse" for one in unread):
        return  # what cannot be read has no size
    held_out = list(_held_out(seen, size))
    if not held_out and (size is None or size >= seen.params.benchmarks.lengths[0]):
        held_out = list(_few(seen, starts))  # of less, the training says that it is too little
    yield from held_out
    yield from _parts(seen, enough=not held_out)
    if size is not None and not seen.elsewhere and not seen.planning:
        yield from _disk(seen, size)


def _disk(seen: Seen, size: float) -> Iterator[Finding]:
    """Room for text that is no file yet, and for the ids of all tokens, about as many bytes."""
    free = shutil.disk_usage(seen.root).free
    needed = size + (written_bytes(seen.params, seen.root) or 0.0)
    if needed <= free:
        return
    sizes = source_bytes(seen.params, seen.root)
    largest = max(sizes, key=lambda name: sizes[name] or 0.0)
    field = (
        f"corpus.sources.{largest}" if largest in seen.params.corpus.sources else "corpus.source"
    )
    if largest in seen.params.corpus.generated:
        field = f"corpus.generated.{largest}"
    yield refuse(
        field,
        f"{(sizes[largest] or 0.0) / 1e9:,.0f} GB",
        f"what is made of all takes {needed / 1e9:,.0f} GB, {free / 1e9:,.0f} GB are free",
        "free some, or take fewer documents",
    )


def _unread(seen: Seen) -> Iterator[Finding]:
    """Keys that nothing reads: whoever gave them expects something else."""
    corpus = seen.params.corpus
    for key, sources in READ_BY.items():
        value = getattr(corpus, key)
        if value is not None and corpus.source not in sources:
            named = " or ".join(sources)
            yield refuse(
                f"corpus.{key}",
                value,
                f"with corpus.source {corpus.source!r} nothing reads it",
                f"leave it out, or set corpus.source={named}",
            )


def _twice(seen: Seen) -> Iterator[Finding]:
    """The same documents under two names count double, and one name's held-out ones train the other."""
    corpus = seen.params.corpus
    named = [("corpus.path", corpus.path, "local")] if corpus.source == "local" else []
    sets: dict[tuple[str | None, ...], str] = {}
    for name, one in corpus.sources.items():
        named.append((f"corpus.sources.{name}.path", one.path, one.kind))
        field = f"corpus.sources.{name}.dataset"
        rows = (one.dataset, one.revision, one.config, one.text_field)
        if one.dataset is not None and (other := sets.setdefault(rows, field)) != field:
            yield _same(field, one.dataset, other)
    places: list[tuple[str, Path, str]] = []
    for field, path, kind in named:
        if path is None:
            continue
        place = Path(os.path.realpath(seen.path(path)))
        for other, there, of_kind in places:
            within = kind == of_kind and (_inside(place, there) or _inside(there, place))
            if place == there or within:
                yield _same(field, path, other)
                break
        else:
            places.append((field, place, kind))


def _same(field: str, value: str, other: str) -> Finding:
    return refuse(field, value, f"{other} has the same documents", "drop one")


def _inside(path: Path, folder: Path) -> bool:
    """Whether what reads the folder reads the path, too: hidden ones are left out."""
    if not path.is_relative_to(folder):
        return False
    return not any(part.startswith(".") for part in path.relative_to(folder).parts)


def _room(seen: Seen) -> Iterator[Finding]:
    """Token files of lists that are still to be fetched, on the disk that takes them."""
    wanted = fetch_bytes(seen.params, seen.root)
    if not wanted or seen.elsewhere or seen.planning:
        return
    folder = home()
    there = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(there).free
    if wanted > free:
        yield refuse(
            "REPO_RUNS",
            str(there),
            f"token files of {wanted / 1e9:,.0f} GB are to be fetched, {free / 1e9:,.0f} GB are free",
            "free some, or name a folder that has them (REPO_TOKEN_FILES)",
        )


def _hub(seen: Seen) -> Iterator[Finding]:
    """Names that the hub takes for no data set."""
    corpus = seen.params.corpus
    named = {"corpus.dataset": corpus.dataset if corpus.source == "hub" else None}
    named |= {f"corpus.sources.{n}.dataset": one.dataset for n, one in corpus.sources.items()}
    for field, dataset in named.items():
        if dataset is not None and not (is_hub_id(dataset) or is_hub_id(f"a/{dataset}")):
            yield refuse(field, dataset, "no name of the hub's", "a data set is OWNER/NAME there")


def _held_out(seen: Seen, size: float | None) -> Iterator[Finding]:
    """Held-out text for one window, where a token is a byte at the least."""
    corpus, shortest = seen.params.corpus, seen.params.benchmarks.lengths[0]
    held_out = None if size is None else size * corpus.validation_share
    if size is None or held_out is None or size < shortest or corpus.ready:
        pass
    elif held_out < shortest:
        yield refuse(
            "corpus.validation_share",
            corpus.validation_share,
            f"of {size:,.0f} bytes, that holds out less than one window of {shortest} tokens",
            "hold out more, or give more text",
        )
    most = corpus.max_documents if corpus.source in ("local", "hub") else None
    if most is not None and most * corpus.validation_share < 1:
        yield refuse(
            "corpus.max_documents",
            most,
            f"not one document to hold out at validation_share {corpus.validation_share:g}",
            "take more documents",
        )


def _parts(seen: Seen, enough: bool) -> Iterator[Finding]:
    """Python's text and the generated parts: kinds that exist, and room for one sequence each.

    ``enough``: all documents together hold enough out.
    """
    from stages.corpus.generated import KINDS

    corpus = seen.params.corpus
    shortest = min(phase.length for phase in seen.params.train.lengths)
    sizes = {f"corpus.generated.{name}.bytes": one.bytes for name, one in corpus.generated.items()}
    if corpus.source == "python" and corpus.python is not None:
        sizes["corpus.python.max_bytes"] = corpus.python.max_bytes
    for field, size in sizes.items():
        if size < shortest:  # a token is a byte at the least
            yield refuse(
                field,
                size,
                f"less text than one sequence of {shortest} tokens",
                "give more, or leave the part out",
            )
    for name, part in corpus.generated.items():
        field = f"corpus.generated.{name}"
        if unknown := sorted(set(part.kinds) - set(KINDS)):
            yield refuse(
                f"{field}.kinds", unknown[0], "no such kind", f"there are {', '.join(KINDS)}"
            )
        elif not sum(part.kinds.values()):
            yield refuse(f"{field}.kinds", part.kinds, "no kind has a share", "give one")
        if part.words[0] > part.words[1]:
            yield refuse(
                f"{field}.words", list(part.words), "the least is above the most", "swap the two"
            )
        elif (
            enough
            and part.bytes >= shortest
            and part.bytes * corpus.validation_share < WORD_BYTES * part.words[0]
        ):
            yield refuse(
                f"{field}.words",
                list(part.words),
                f"its {part.bytes:,} bytes hold too few such documents to hold one out at "
                f"validation_share {corpus.validation_share:g}",
                "make them shorter, or the part larger",
            )


WORD_BYTES = 4
"""Of a word of a generated document, at the least."""


def _paths(corpus: CorpusParams) -> list[tuple[str, str]]:
    """Names and paths of the sources that are documents of the user's."""
    own = [("corpus", corpus.path)] if corpus.source == "local" else []
    own += [(name, one.path) for name, one in corpus.sources.items() if one.kind == "local"]
    return [(name, path) for name, path in own if path is not None]


def _few(seen: Seen, starts: Mapping[str, "Start"]) -> Iterator[Finding]:
    """Few documents may all fall into one split."""
    corpus = seen.params.corpus
    if corpus.ready or corpus.generated or corpus.source == "python":
        return
    known: dict[str, Sequence[bool] | None] = {}
    for name in corpus.names:
        named = corpus.sources.get(name)
        most = named.max_documents if named else corpus.max_documents
        begun = starts.get(name if named else "corpus")
        filled = begun.filled if begun else None
        if (
            filled is None
            and most is not None
            and most <= LIMIT
            and not (named and named.max_bytes)
        ):
            filled = (True,) * most
        known[name] = filled if filled is None else filled[:most]
    if (split := without(corpus, known)) is not None:
        count = sum(sum(filled) for filled in known.values() if filled is not None)
        why = "not one is held out" if split == "validation" else "none is left to train on"
        yield refuse(
            "corpus.validation_share",
            corpus.validation_share,
            f"of {count:,} document{'s' * (count != 1)} {why}",
            "give more documents (a .txt is one, a line of JSONL is one), or another share",
        )


def _local(seen: Seen, source: str, name: str, starts: dict[str, "Start"]) -> Iterator[Finding]:
    key = "corpus" if source == "corpus" else f"corpus.sources.{source}"
    path = seen.path(name)
    if seen.made_here(name) or seen.root.resolve().is_relative_to(path.resolve()):
        what = "made by this pipeline" if seen.made_here(name) else "it holds the project itself"
        yield refuse(f"{key}.path", name, what, "name a folder of documents alone")
        return
    if not path.exists():
        level = seen.absent(name)
        yield level(f"{key}.path", name, "no such file or folder", "name the documents")
        return
    try:
        files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
        sizes = [file.stat().st_size for file in files]
    except OSError as error:
        why = f"{error.filename} cannot be read ({error.strerror})"
        yield refuse(f"{key}.path", name, why, "name a folder of documents alone")
        return
    if not any(sizes):
        yield refuse(f"{key}.path", name, "nothing in it", "name the documents")
        return
    yield from _begins(seen, source, key, path, starts)


def _begins(
    seen: Seen, source: str, key: str, path: Path, starts: dict[str, "Start"]
) -> Iterator[Finding]:
    """The first rows stand for all: a wrong field or another format shows at once."""
    from stages.corpus.reading.found import data_files  # pyarrow: only where files are read
    from stages.corpus.starts import start

    corpus = seen.params.corpus
    one = corpus.sources.get(source, corpus)
    try:
        begun = start(data_files(path, one.text_field, key), one.text_field)
    except UserError as error:
        line = str(error)
        why, _, fix = line.partition("; ")
        named = line.startswith("corpus.")
        yield told(line) if named else refuse(f"{key}.path", one.path, why, fix or "correct it")
        return
    starts[source] = begun
    if begun.bad is None and begun.blank:
        why = "no text in it" if begun.filled is not None else "its first rows are blank"
        yield refuse(f"{key}.text_field", one.text_field, why, "name the field of the text")
    if begun.bad is None or (one.on_bad_row == "skip" and not begun.blank):
        return
    file, row = begun.bad
    why = f"{file.path.name} {row.place}: {row.problem}"
    if "no " in row.problem[:3] or "is a " in row.problem:
        yield refuse(f"{key}.text_field", one.text_field, why, "name the field of the text")
    else:
        yield refuse(
            f"{key}.path", one.path, why, f"correct the row, or set {key}.on_bad_row: skip"
        )
