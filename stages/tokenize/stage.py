"""The corpus into flat uint32 shards, one Ray task per corpus file, resumable per file."""

from pathlib import Path
from typing import Any

from stages.common import paths, windows
from stages.common.errors import UserError
from stages.common.files import fingerprint, link, read_json, write_json
from stages.common.outs import building
from stages.common.progress import Progress
from stages.common.ray_session import session
from stages.common.runs import workspace
from stages.common.stage import Job, Stage
from stages.tokenize.encode import encode_file
from stages.tokenize.version import VERSION


def run(job: Job) -> None:
    """Tokenize every file of the corpus."""
    tokenizer = read_json(paths.TOKENIZER / "manifest.json")
    files = sorted(file.relative_to(paths.CORPUS) for file in paths.CORPUS.rglob("*.jsonl"))
    with workspace(job, [paths.CORPUS, paths.TOKENIZER]) as folder:
        entries = _encode_all(files, folder, tokenizer["eos_id"], job.params.tokenize.shard_tokens)
        with building(paths.TOKENS) as out:
            shards = []
            for file in files:
                (out / file.parent).mkdir(parents=True, exist_ok=True)
                for entry in entries[file]:
                    name = Path(entry.pop("name"))
                    for part in (name, name.with_suffix(".ends")):
                        link(folder / file.parent / part, out / file.parent / part)
                    source = file.stem.rsplit("-", 1)[0]
                    labels = {"split": file.parts[0], "source": source}
                    shards.append({**labels, "file": str(file.parent / name), **entry})
            write_json(
                out / "manifest.json",
                {
                    "version": VERSION,
                    "dtype": "little-endian uint32",
                    "tokenizer": fingerprint(paths.TOKENIZER),
                    "vocab_size": tokenizer["vocab_size"],
                    "eos_id": tokenizer["eos_id"],
                    "shards": shards,
                },
            )
            windows.write(out)
    print(f"tokenize: {sum(shard['tokens'] for shard in shards):,} tokens", flush=True)
    if found := sum(shard["control_strings"] for shard in shards):
        print(f"tokenize: {found:,} strings of control tokens were kept as text", flush=True)


def _encode_all(
    files: list[Path], folder: Path, eos_id: int, shard_tokens: int
) -> dict[Path, list[dict[str, Any]]]:
    total = sum((paths.CORPUS / file).stat().st_size for file in files)
    progress = Progress("tokenize", total, "bytes")
    with session():
        import ray

        # Ray shares out the cores, the tokenizer's own pool takes no more than the task was given:
        # one where there are enough files, all of a machine for a single one.
        threads = _threads(len(files))
        encode = ray.remote(
            num_cpus=threads,
            runtime_env={
                "env_vars": {
                    "RAYON_NUM_THREADS": str(threads),
                    "TOKENIZERS_PARALLELISM": "true" if threads > 1 else "false",
                }
            },
            max_retries=2,
        )(encode_file)
        pending = {}
        for file in files:
            (folder / file.parent).mkdir(parents=True, exist_ok=True)
            source, tokenizer = paths.CORPUS.absolute() / file, paths.TOKENIZER.absolute()
            target = folder / file.with_suffix("")
            task = encode.remote(source, tokenizer, eos_id, shard_tokens, target)
            pending[task] = file
        entries, done = {}, 0
        while pending:
            (finished,), _ = ray.wait(list(pending), num_returns=1)
            file = pending.pop(finished)
            try:
                entries[file] = ray.get(finished)
            except ray.exceptions.RayTaskError as error:
                if isinstance(error.cause, UserError):
                    raise error.cause from None
                raise
            done += (paths.CORPUS / file).stat().st_size
            progress.update(done)
    return entries


def _threads(files: int) -> int:
    """Cores for each file: those of all machines shared out, at most those of the smallest one."""
    import ray

    cores = [int(n["Resources"].get("CPU", 0)) for n in ray.nodes() if n["Alive"]]
    cores = [count for count in cores if count]
    return max(1, min(sum(cores) // max(1, files), *cores)) if cores else 1


STAGE = Stage(name="tokenize", version=VERSION, reads=("tokenize",), run=run)
