"""Documents into ``data/corpus/<split>/<source>-<shard>.jsonl``, one ``{"text": ...}`` a line.

A document's split is drawn from the seed and its number, so it never depends on the sharding.
Shards are closed by bytes. They are built under ``REPO_RUNS`` and survive a kill: the reading goes
on from the cursor of the last whole shard, and a user's file that changed begins it anew.
"""

import itertools
import platform
import random
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import orjson

from stages.common import paths
from stages.common.errors import TryAgain, UserError
from stages.common.files import link, read_json, replacing, sha256, write_json
from stages.common.outs import building
from stages.common.progress import Progress
from stages.common.runs import root as runs_root
from stages.common.runs import workspace
from stages.common.stage import Job, Stage
from stages.corpus import external, generated, python_text, ready
from stages.corpus.external import Taken
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
        read = {f"{ready.FOLDER}/{source}.json": plan for source, plan in plans.items()}
        for name, plan in read.items():
            write_json(out / name, plan)
        files = sorted(file for split in SPLITS for file in (folder / split).glob("*.jsonl"))
        for file in files:
            target = out / file.relative_to(folder)
            target.parent.mkdir(exist_ok=True)
            link(file, target)
        counts = [read_json(file) for file in sorted(folder.glob("*.done.json"))]
        for split in SPLITS:
            if not plans and not sum(count[split] for count in counts):
                raise UserError(f"corpus: no document for {split}; {_too_few(counts)}")
        write_json(
            out / "manifest.json",
            {
                "version": VERSION,
                "python": platform.python_version() if params.source == "python" else None,
                "shards": [
                    {k: value for k, value in count.items() if k not in ("cursor", "bytes")}
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
    for source, plan in plans.items():
        tokens = sum(file["tokens"] for file in plan["files"])
        rounded = f" (listed as {plan['listed']:,}, rounded)" if "listed" in plan else ""
        inside = f"{len(plan['files']):,} files"
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


def _documents(
    params: CorpusParams, source: str, seen: int, cursor: external.Cursor
) -> Iterator[Taken]:
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
        yield Taken(text, (0, number))


def collect(params: CorpusParams, source: str, folder: Path) -> None:
    """Write the source's shards that are not there yet; a shard's ``.done.json`` comes last."""
    first, seen, size, cursor = 0, 0, 0, (0, 0)
    while (done := folder / f"{source}-{first:05d}.done.json").is_file():
        state = read_json(done)
        if state["last"]:
            return
        first, seen, cursor = first + 1, state["seen"], tuple(state["cursor"])
        size = state.get("bytes", 0)
    limit = None if source in params.generated else params.max_documents
    most = None
    if (named := params.sources.get(source)) is not None:
        limit, most = named.max_documents, named.max_bytes
    progress = Progress(f"corpus {source}", limit, "documents")
    taken = _documents(params, source, seen, cursor)
    if most is not None:
        taken = _within(taken, most - size)
    drawn = splits(params, source, seen)
    for number in itertools.count(first):
        state = _shard(taken, drawn, folder, f"{source}-{number:05d}", seen, limit)
        seen, size = state["seen"], size + state.pop("bytes")
        state = {"source": source, "shard": number, **state}
        if most is not None:
            state["bytes"] = size
        write_json(folder / f"{source}-{number:05d}.done.json", state)
        progress.update(seen)
        if state["last"]:
            return


def _within(taken: Iterator[Taken], room: int) -> Iterator[Taken]:
    """Rows until their texts fill ``room`` bytes of UTF-8."""
    while room > 0 and (row := next(taken, None)) is not None:
        room -= len(row.text.encode()) if row.text is not None else 0
        yield row


def _shard(
    taken: Iterator[Taken],
    drawn: Iterator[str],
    folder: Path,
    name: str,
    seen: int,
    limit: int | None,
) -> dict[str, Any]:
    """Write one shard, a file for each split; returns its counts and where the source stands."""
    counts: dict[str, Any] = dict.fromkeys((*SPLITS, "skipped"), 0)
    state: dict[str, Any] = {"first_skipped": None, "cursor": (0, 0), "last": True}
    size = read = 0
    with ExitStack() as stack:
        files = {}
        for split in SPLITS:
            temporary = stack.enter_context(replacing(folder / split / f"{name}.jsonl"))
            files[split] = stack.enter_context(open(temporary, "wb"))
        while limit is None or seen < limit:
            row = next(taken, None)
            if row is None:
                break
            state["cursor"] = row.cursor
            if row.text is None:
                counts["skipped"] += 1
                state["first_skipped"] = state["first_skipped"] or row.problem
                continue
            seen += 1
            read += len(row.text.encode())
            split = next(drawn)
            if row.text.strip():
                counts[split] += 1
                size += files[split].write(orjson.dumps({"text": row.text}) + b"\n")
            if size >= SHARD_BYTES:
                state["last"] = False
                break
    return {**counts, **state, "seen": seen, "bytes": read}


def _up_to(texts: Iterable[str], max_bytes: int) -> Iterator[str]:
    taken = 0
    for text in texts:
        taken += len(text.encode())
        if taken > max_bytes:
            return
        yield text


STAGE = Stage(name="corpus", version=VERSION, reads=("corpus",), run=run)
