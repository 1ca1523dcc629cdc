"""Speed and memory of the stage's encoding against raw ``encode_batch`` on the same cores.

    python benchmarks/tokens.py --tokenizer FOLDER --megabytes 100

(Not named for the stage: a script `tokenize.py` would stand before Python's own module.)

Three shapes of the same text: one file of documents (as the stage ``corpus`` closes its shards),
many small documents, one single document. Ray's start is left out: the shards are encoded by a pool
of processes, as many as cores, as Ray's tasks do it. A ratio of 1 is the speed of the library.
"""

import argparse
import multiprocessing
import os
import resource
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import orjson

CORES = len(os.sched_getaffinity(0))
SHARD = 64 << 20


def main() -> None:
    """Measure every shape and print a line each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tokenizer", type=Path, required=True, help="folder of a tokenizer.json")
    parser.add_argument("--megabytes", type=int, default=100)
    options = parser.parse_args()
    texts = list(_texts(options.megabytes * 1_000_000))
    shapes = {
        "documents of 4 KB": texts,
        "documents of 200 B": [t[i : i + 200] for t in texts for i in range(0, len(t), 200)],
        "one document": ["\n".join(texts)],
    }
    for name, documents in shapes.items():
        # The library takes 112 MB of memory for each MB of one text: raw has the same text in pieces.
        raw = shapes["documents of 4 KB"] if len(documents) == 1 else documents
        raw_s, raw_mb = _apart(_raw, options.tokenizer, raw)
        folder = Path(tempfile.mkdtemp())
        try:
            files = _shards(documents, folder)
            ours_s, ours_mb = _apart(_ours, options.tokenizer, files)
        finally:
            shutil.rmtree(folder)
        size = sum(len(t) for t in documents) / 1e6
        print(
            f"{name}: {size / ours_s:.2f} MB/s, raw {size / raw_s:.2f}, ratio {raw_s / ours_s:.2f}; "
            f"largest process {ours_mb:,.0f} MB, raw {raw_mb:,.0f}; {len(files)} shards",
            flush=True,
        )


def _apart(
    work: Callable[..., float], tokenizer: Path, items: list[str] | list[Path]
) -> tuple[float, float]:
    """Seconds and the largest process's memory (MB) of work done in a fresh process."""
    receive, send = multiprocessing.Pipe(duplex=False)
    context = multiprocessing.get_context("fork" if work is _raw else "spawn")
    child = context.Process(target=_child, args=(work, tokenizer, items, send))
    child.start()
    result: tuple[float, float] = receive.recv()
    child.join()
    return result


def _child(work: Callable[..., float], tokenizer: Path, items: list[str], send: object) -> None:
    seconds = work(tokenizer, items)
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    peak = max(resource.getrusage(kind).ru_maxrss for kind in kinds) / 1024
    send.send((seconds, peak))  # type: ignore[attr-defined]


def _raw(folder: Path, texts: list[str]) -> float:
    os.environ["TOKENIZERS_PARALLELISM"] = "true"
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    start = time.perf_counter()
    for first in range(0, len(texts), 2000):
        for encoding in tokenizer.encode_batch_fast(
            texts[first : first + 2000], add_special_tokens=False
        ):
            len(encoding)
    return time.perf_counter() - start


def _ours(tokenizer: Path, files: list[Path]) -> float:
    threads = max(1, CORES // len(files))
    os.environ["RAYON_NUM_THREADS"] = str(threads)
    os.environ["TOKENIZERS_PARALLELISM"] = "true" if threads > 1 else "false"
    with ProcessPoolExecutor(
        min(CORES, len(files)), mp_context=multiprocessing.get_context("spawn")
    ) as pool:
        list(pool.map(len, [""] * CORES))
        start = time.perf_counter()
        list(pool.map(_encode, files, [tokenizer] * len(files)))
        return time.perf_counter() - start


def _encode(file: Path, tokenizer: Path) -> int:
    from stages.tokenize.encode import encode_file

    return len(encode_file(file, tokenizer, 0, 100_000_000, file.with_suffix("")))


def _shards(documents: list[str], folder: Path) -> list[Path]:
    """The documents as the stage ``corpus`` writes them: a file is closed past 64 MiB.

    Where the text is less, it is shared out over the cores, as a large corpus would be.
    """
    limit = min(SHARD, sum(map(len, documents)) // CORES) if len(documents) > 1 else SHARD
    files: list[Path] = []
    waiting = iter(documents)
    while (text := next(waiting, None)) is not None:
        files.append(folder / f"a-{len(files):05d}.jsonl")
        with open(files[-1], "wb") as file:
            while text is not None:
                file.write(orjson.dumps({"text": text}) + b"\n")
                if file.tell() >= limit:
                    break
                text = next(waiting, None)
    return files


def _texts(size: int) -> Iterator[str]:
    """Real text in pieces of 4 KB: the sources and the prose of the running Python, repeated."""
    from stages.corpus.python_text import documents

    while size > 0:
        for text in documents(min(size, 20_000_000), seed=1):
            for start in range(0, len(text), 4096):
                yield text[start : start + 4096]
            size -= len(text)
            if size <= 0:
                return


if __name__ == "__main__":
    main()
