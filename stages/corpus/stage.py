"""Documents into ``data/corpus/<split>/<source>-<shard>.jsonl``, one ``{"text": ...}`` a line.

A document's split is drawn from the seed and its number, so it never depends on the sharding.
Shards are built under ``REPO_RUNS`` and survive a kill: a long download goes on where it stopped.
"""

import itertools
import platform
import random
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from stages.common import paths
from stages.common.errors import UserError
from stages.common.files import read_json, sha256, write_json, write_jsonl
from stages.common.outs import building
from stages.common.progress import Progress
from stages.common.runs import workspace
from stages.common.stage import Job, Stage
from stages.corpus import external, generated, python_text
from stages.corpus.params import CorpusParams
from stages.corpus.version import VERSION

SHARD_DOCUMENTS = 100_000
"""Documents of a shard before the split: some 300 MB of web text."""
SPLITS = ("train", "validation")


def run(job: Job) -> None:
    """Build the corpus of ``corpus``."""
    params = job.params.corpus
    with workspace(job, []) as folder, building(paths.CORPUS) as out:
        for source in _sources(params):
            _collect(params, source, folder)
        out.mkdir()
        files = sorted(file for split in SPLITS for file in (folder / split).glob("*.jsonl"))
        for file in files:
            target = out / file.relative_to(folder)
            target.parent.mkdir(exist_ok=True)
            shutil.copyfile(file, target)
        counts = [read_json(file) for file in sorted(folder.glob("*.done.json"))]
        for split in SPLITS:
            if not sum(count[split] for count in counts):
                raise UserError(f"corpus: no document for {split}; the source has too few of them")
        write_json(
            out / "manifest.json",
            {
                "version": VERSION,
                "python": platform.python_version() if params.source == "python" else None,
                "shards": counts,
                "hashes": {file.relative_to(folder).as_posix(): sha256(file) for file in files},
            },
        )
    print(f"corpus: {sum(c['train'] for c in counts):,} documents to train on", flush=True)


def _sources(params: CorpusParams) -> list[str]:
    return [params.source, *params.generated]


def _documents(params: CorpusParams, source: str, skip: int) -> Iterator[str]:
    if (part := params.generated.get(source)) is not None:
        seed = random.Random(f"{params.seed} {source}").getrandbits(32)
        texts = generated.documents(part.kinds, seed, *part.words)
        return itertools.islice(_up_to(texts, part.bytes), skip, None)
    if source == "python":
        assert params.python is not None
        texts = python_text.documents(params.python.max_bytes, params.seed)
        return itertools.islice(texts, skip, None)
    return external.documents(params, skip)


def _collect(params: CorpusParams, source: str, folder: Path) -> None:
    """Write the source's shards that are not there yet; a shard's ``.done.json`` comes last."""
    first = 0
    while (done := folder / f"{source}-{first:05d}.done.json").is_file():
        if read_json(done)["last"]:
            return
        first += 1
    texts = _documents(params, source, skip=first * SHARD_DOCUMENTS)
    progress = Progress(f"corpus {source}", params.max_documents, "documents")
    for number in itertools.count(first):
        batch = list(itertools.islice(texts, SHARD_DOCUMENTS))
        split_of = _splits(params, source, number, len(batch))
        count: dict[str, object] = {"source": source, "shard": number}
        for split in SPLITS:
            kept = [t for t, s in zip(batch, split_of, strict=True) if s == split and t.strip()]
            write_jsonl(
                folder / split / f"{source}-{number:05d}.jsonl", ({"text": t} for t in kept)
            )
            count[split] = len(kept)
        last = len(batch) < SHARD_DOCUMENTS
        write_json(folder / f"{source}-{number:05d}.done.json", {**count, "last": last})
        progress.update(number * SHARD_DOCUMENTS + len(batch))
        if last:
            return


def _splits(params: CorpusParams, source: str, shard: int, count: int) -> list[str]:
    draw = random.Random(f"{params.seed} {source} {shard}")
    held_out = params.validation_share
    return ["validation" if draw.random() < held_out else "train" for _ in range(count)]


def _up_to(texts: Iterable[str], max_bytes: int) -> Iterator[str]:
    taken = 0
    for text in texts:
        taken += len(text.encode())
        if taken > max_bytes:
            return
        yield text


STAGE = Stage(name="corpus", version=VERSION, reads=("corpus",), run=run)
