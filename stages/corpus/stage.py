"""Documents into ``data/corpus/<split>/<source>-<shard>.jsonl``; of local files a plan of reading them.

A line of a shard is ``{"text": ...}``. What would be a shard of local files is a part of the plan
(``stages.corpus.plan``), and the documents stay where they are.
A document's split is drawn from the seed and its number, so it never depends on the sharding.
Shards are closed by bytes. They are built under ``REPO_RUNS`` and survive a kill: the reading goes
on from the cursor of the last whole shard, and a user's file that changed begins it anew.
"""

import hashlib
import itertools
import platform
import random
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from stages.common import paths
from stages.common.errors import TryAgain, UserError
from stages.common.files import link, read_json, replacing, sha256, write_json
from stages.common.outs import building
from stages.common.progress import Progress
from stages.common.runs import root as runs_root
from stages.common.runs import workspace
from stages.common.stage import Job, Stage
from stages.corpus import external, generated, plan, python_text, ready
from stages.corpus.external import Cursor, Taken
from stages.corpus.params import CorpusParams
from stages.corpus.splits import SPLITS, splits
from stages.corpus.version import VERSION

SHARD_BYTES = 64 << 20
"""A shard is closed past so many bytes: one task of ``tokenize`` (20 s), little to do again."""
_LISTING = "listing.json"


def run(job: Job) -> None:
    """Build the corpus of ``corpus``."""
    params = job.params.corpus
    with workspace(job, []) as folder, building(paths.CORPUS) as out:
        _forget_other_files(params, folder)
        ready.fetch_listed(params)
        for source in _sources(params):
            collect(params, source, folder)
        if external.listing(params) != read_json(folder / _LISTING):
            raise TryAgain(
                "corpus: files changed while they were read; run again to read them anew"
            )
        plans = ready.plans(params, runs_root())
        out.mkdir()
        read = {f"{ready.FOLDER}/{source}.json": one for source, one in plans.items()}
        counts = [read_json(file) for file in sorted(folder.glob("*.done.json"))]
        for source in _sources(params):
            if params.kind(source) == "local":
                states = [one for one in counts if one["source"] == source]
                read[f"{plan.FOLDER}/{source}.json"] = plan.written(params, source, states)
        for name, one in read.items():
            write_json(out / name, one)
        files = sorted(file for split in SPLITS for file in (folder / split).glob("*.jsonl"))
        for file in files:
            target = out / file.relative_to(folder)
            target.parent.mkdir(exist_ok=True)
            link(file, target)
        for split in SPLITS:
            if not plans and not sum(count[split] for count in counts):
                raise UserError(f"corpus: no document for {split}; {_too_few(counts)}")
        write_json(
            out / "manifest.json",
            {
                "version": VERSION,
                "python": platform.python_version() if params.source == "python" else None,
                "shards": [
                    {k: v for k, v in count.items() if k not in ("cursor", "bytes", "part")}
                    for count in counts
                ],
                **({"ready": sorted(plans)} if plans else {}),
                "hashes": {
                    name: sha256(out / name)
                    for name in (*(f.relative_to(folder).as_posix() for f in files), *read)
                },
            },
        )
    if counts:
        print(f"corpus: {sum(c['train'] for c in counts):,} documents to train on", flush=True)
    for source, one in plans.items():
        tokens = sum(file["tokens"] for file in one["files"])
        rounded = f" (listed as {one['listed']:,}, rounded)" if "listed" in one else ""
        inside = f"{len(one['files']):,} files"
        print(f"corpus: {source}: {tokens:,} tokens in {inside}{rounded}", flush=True)
    if skipped := sum(count["skipped"] for count in counts):
        print(f"corpus: {skipped:,} rows skipped, the first: {_first_skipped(counts)}", flush=True)


def _sources(params: CorpusParams) -> list[str]:
    return [name for name in params.names if name not in params.ready]


def _too_few(counts: list[dict[str, Any]]) -> str:
    if skipped := sum(count["skipped"] for count in counts):
        return f"{skipped:,} rows were skipped, the first: {_first_skipped(counts)}"
    return "the source has too few of them"


def _first_skipped(counts: list[dict[str, Any]]) -> str:
    return next(str(count["first_skipped"]) for count in counts if count["skipped"])


def _forget_other_files(params: CorpusParams, folder: Path) -> None:
    """Begin anew where the user's files are not those that the shards were read from."""
    listing, known = external.listing(params), folder / _LISTING
    if known.is_file() and read_json(known) != listing:
        for file in (*folder.glob("*.done.json"), *folder.rglob("*.jsonl")):
            file.unlink()
    write_json(known, listing)


def _documents(params: CorpusParams, source: str, seen: int, cursor: Cursor) -> Iterator[Taken]:
    """Documents of a source behind the first ``seen`` (generated here) or behind ``cursor``."""
    if (part := params.generated.get(source)) is not None:
        seed = random.Random(f"{params.seed} {source}").getrandbits(32)
        texts = _up_to(generated.documents(part.kinds, seed, *part.words), part.bytes)
    elif source == "python":
        assert params.python is not None
        texts = python_text.documents(params.python.max_bytes, params.seed)
    else:
        yield from external.documents(params, cursor, source)
        return
    for number, text in enumerate(itertools.islice(texts, seen, None), start=seen + 1):
        yield Taken(text, Cursor(0, number))


def collect(params: CorpusParams, source: str, folder: Path) -> None:
    """Write the source's shards that are not there yet; a shard's ``.done.json`` comes last."""
    first, seen, size, cursor = 0, 0, 0, Cursor()
    while (done := folder / f"{source}-{first:05d}.done.json").is_file():
        state = read_json(done)
        if state["last"]:
            return
        first, seen, cursor = first + 1, state["seen"], Cursor(*state["cursor"])
        size = state.get("bytes", 0)
    limit = None if source in params.generated else params.max_documents
    most = None
    if (named := params.sources.get(source)) is not None:
        limit, most = named.max_documents, named.max_bytes
    progress = Progress(f"corpus {source}", limit, "documents")
    taken = _documents(params, source, seen, cursor)
    if most is not None:
        taken = _within(taken, most - size)
    drawn = splits(params.seed, params.validation_share, source, seen)
    for number in itertools.count(first):
        name = f"{source}-{number:05d}"
        part: dict[str, Any] = {}
        if params.kind(source) == "local":
            counted = {split: _Counted() for split in SPLITS}
            state = _shard(taken, drawn, counted, seen, limit)
            part = {split: one.described() for split, one in counted.items()}
            part |= {"begin": cursor, "rows": state["rows"], "seen": seen}
        else:
            with _written(folder, name) as files:
                state = _shard(taken, drawn, files, seen, limit)
        seen, size, cursor = state["seen"], size + state.pop("bytes"), state["cursor"]
        del state["rows"]
        state = {"source": source, "shard": number, **state}
        if most is not None:
            state["bytes"] = size
        if part:
            state["part"] = part
        write_json(folder / f"{name}.done.json", state)
        progress.update(seen)
        if state["last"]:
            return


def _within(taken: Iterator[Taken], room: int) -> Iterator[Taken]:
    """Rows until their texts fill ``room`` bytes of UTF-8."""
    while room > 0 and (row := next(taken, None)) is not None:
        room -= len(row.text.encode()) if row.text is not None else 0
        yield row


@contextmanager
def _written(folder: Path, name: str) -> Iterator[dict[str, BinaryIO]]:
    """A file for each split, there once the block ends well."""
    with ExitStack() as stack:
        files: dict[str, BinaryIO] = {}
        for split in SPLITS:
            temporary = stack.enter_context(replacing(folder / split / f"{name}.jsonl"))
            files[split] = stack.enter_context(open(temporary, "wb"))
        yield files


class _Counted:
    """In place of such a file: documents that stay where they are, their bytes and their hash."""

    def __init__(self) -> None:
        self._documents, self._bytes, self._digest = 0, 0, hashlib.sha256()

    def write(self, line: bytes) -> int:
        """Count a document."""
        self._documents += 1
        self._bytes += len(line)
        self._digest.update(line)
        return len(line)

    def described(self) -> dict[str, Any]:
        """For the plan."""
        digest = self._digest.hexdigest()
        return {"documents": self._documents, "bytes": self._bytes, "sha256": digest}


def _shard(
    taken: Iterator[Taken],
    drawn: Iterator[str],
    files: Mapping[str, BinaryIO | _Counted],
    seen: int,
    limit: int | None,
) -> dict[str, Any]:
    """Take one shard, to a file for each split; returns its counts and where the source stands."""
    counts: dict[str, Any] = dict.fromkeys((*SPLITS, "skipped"), 0)
    state: dict[str, Any] = {"first_skipped": None, "cursor": Cursor(), "last": True}
    size = read = rows = 0
    while limit is None or seen < limit:
        row = next(taken, None)
        if row is None:
            break
        state["cursor"] = row.cursor
        rows += 1
        if row.text is None:
            counts["skipped"] += 1
            state["first_skipped"] = state["first_skipped"] or row.problem
            continue
        seen += 1
        read += len(row.text.encode())
        split = next(drawn)
        if row.text.strip():
            counts[split] += 1
            size += files[split].write(plan.line(row.text))
        if size >= SHARD_BYTES:
            state["last"] = False
            break
    return {**counts, **state, "seen": seen, "bytes": read, "rows": rows}


def _up_to(texts: Iterable[str], max_bytes: int) -> Iterator[str]:
    taken = 0
    for text in texts:
        taken += len(text.encode())
        if taken > max_bytes:
            return
        yield text


STAGE = Stage(name="corpus", version=VERSION, reads=("corpus",), run=run)
