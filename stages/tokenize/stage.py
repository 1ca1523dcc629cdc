"""The corpus into flat uint32 shards, one Ray task per file, resumable per file.

Documents of local files are read where they are, by the parts of a plan (``stages.corpus.plan``), as
if each part were a file. Ready token files are looked through and referred to, not copied
(``stages.tokenize.ready``).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
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
from stages.common.token_files import home
from stages.corpus import plan
from stages.corpus.splits import SPLITS
from stages.tokenize import again, ready
from stages.tokenize.encode import encode_file, encode_parts
from stages.tokenize.version import VERSION

READY = "ready"
"""In the corpus: plans of reading token files (``stages.corpus.ready``)."""


def run(job: Job) -> None:
    """Tokenize every file of the corpus, and look through the token files that it names."""
    tokenizer = read_json(paths.TOKENIZER / "manifest.json")
    files = plan.digests(paths.CORPUS)
    plans = {file.stem: read_json(file) for file in sorted((paths.CORPUS / READY).glob("*.json"))}
    for source, one in plans.items():
        ready.check_tokenizer(source, one, paths.TOKENIZER)
    with workspace(job, [paths.CORPUS, paths.TOKENIZER]) as folder:
        keys = _keys(files, tokenizer, job)
        for file, key in keys.items():
            again.bring(key, folder / file.with_suffix(""), paths.TOKENS / file.parent)
        given = (paths.TOKENIZER.absolute(), tokenizer["eos_id"], job.params.tokenize.shard_tokens)
        for split in SPLITS:
            (folder / split).mkdir(parents=True, exist_ok=True)
        tasks = [*_of_text(folder, given), *_of_parts(folder, given)]
        tasks += _of_ready(plans, folder, tokenizer)
        entries: dict[str, list[dict[str, Any]]] = {str(file): [] for file in files}
        entries |= _all(tasks)
        for file, key in keys.items():
            again.remember(key, entries[str(file)])
        with building(paths.TOKENS) as out:
            shards = []
            for file in files:
                (out / file.parent).mkdir(parents=True, exist_ok=True)
                for entry in entries[str(file)]:
                    name = Path(entry.pop("name"))
                    for part in (name, name.with_suffix(".ends")):
                        link(folder / file.parent / part, out / file.parent / part)
                    source = file.stem.rsplit("-", 1)[0]
                    labels = {"split": file.parts[0], "source": source}
                    shards.append({**labels, "file": str(file.parent / name), **entry})
            for source, one in plans.items():
                for number in range(len(one["files"])):
                    name = Path(f"{source}-{number:05d}")
                    for entry in entries[str(name)]:
                        (out / entry["split"]).mkdir(parents=True, exist_ok=True)
                        ends = folder / READY / f"{name}.{entry['split']}.ends"
                        link(ends, out / entry["split"] / f"{name}.ends")
                        shards.append({"source": source, **entry})
            write_json(
                out / "manifest.json",
                {
                    "version": VERSION,
                    "dtype": "little-endian uint32",
                    "tokenizer": fingerprint(paths.TOKENIZER),
                    "vocab_size": tokenizer["vocab_size"],
                    "eos_id": tokenizer["eos_id"],
                    "sources": _sums(shards),
                    "shards": shards,
                },
            )
            windows.write(out)
    print(f"tokenize: {sum(shard['tokens'] for shard in shards):,} tokens", flush=True)
    if found := sum(shard["control_strings"] for shard in shards):
        print(f"tokenize: {found:,} strings of control tokens were kept as text", flush=True)


def _keys(files: dict[Path, str], tokenizer: dict[str, Any], job: Job) -> dict[Path, str]:
    """What decides the shards of each file, by its documents' hash."""
    given = (fingerprint(paths.TOKENIZER), tokenizer["eos_id"], job.params.tokenize.shard_tokens)
    return {file: again.key(file.name, digest, *given) for file, digest in files.items()}


@dataclass(frozen=True)
class _Task:
    """Work for a task of Ray's on one file, or on parts of a plan that one reader takes."""

    keys: tuple[str, ...]
    bytes: int
    """Of the documents, for the progress."""
    function: Callable[..., list[Any]]
    """Gives the entries of its key, ``encode_parts`` those of each key."""
    arguments: tuple[Any, ...]
    encodes: bool = True
    """Whether more cores than one make it faster."""


def _of_text(folder: Path, given: tuple[Any, ...]) -> Iterator[_Task]:
    for split in SPLITS:
        for source in sorted((paths.CORPUS.absolute() / split).glob("*.jsonl")):
            target = folder / split / source.stem
            size, name = source.stat().st_size, f"{split}/{source.name}"
            yield _Task((name,), size, encode_file, (source, *given, target))


def _of_parts(folder: Path, given: tuple[Any, ...]) -> Iterator[_Task]:
    for source, one in plan.plans(paths.CORPUS).items():
        file = paths.CORPUS.absolute() / plan.FOLDER / f"{source}.json"
        for group in plan.groups(one):
            for split in SPLITS:
                names = [plan.name(source, number, split) for number in group]
                size = sum(one["parts"][number][split]["bytes"] for number in group)
                if size:
                    targets = [folder / name.with_suffix("") for name in names]
                    what = (Path.cwd(), file, split, *given, dict(zip(group, targets, strict=True)))
                    yield _Task(tuple(map(str, names)), size, encode_parts, what)


def _of_ready(
    plans: dict[str, dict[str, Any]], folder: Path, tokenizer: dict[str, Any]
) -> Iterator[_Task]:
    for source, one in plans.items():
        (folder / READY).mkdir(exist_ok=True)
        rules = {name: value for name, value in one.items() if name != "files"}
        for number, file in enumerate(one["files"]):
            name = f"{source}-{number:05d}"
            words, target = tokenizer["vocab_size"], folder / READY / name
            root = home() if "listed" in one else Path.cwd()
            given = (root, file, rules, tokenizer["eos_id"], words, target)
            yield _Task((name,), file["bytes"], ready.scan, given, encodes=False)


def _sums(shards: list[dict[str, Any]]) -> dict[str, dict[str, int]]:
    """Tokens by source and split: what became of the sources."""
    sums: dict[str, dict[str, int]] = {}
    for shard in shards:
        of = sums.setdefault(shard["source"], {"train": 0, "validation": 0})
        of[shard["split"]] += shard["tokens"]
    return sums


def _all(tasks: list[_Task]) -> dict[str, list[dict[str, Any]]]:
    """Do the tasks on Ray; the entries by the tasks' keys."""
    progress = Progress("tokenize", sum(task.bytes for task in tasks), "bytes")
    with session():
        import ray

        # Ray shares out the cores, the tokenizer's own pool takes no more than the task was given:
        # one where there are enough files, all of a machine for a single one.
        threads = _threads([task.bytes for task in tasks if task.encodes])
        pending = {}
        for task in sorted(tasks, key=lambda task: -task.bytes):  # a large one last would be alone
            cores = threads if task.encodes else 1
            remote = ray.remote(
                num_cpus=cores,
                runtime_env={
                    "env_vars": {
                        "RAYON_NUM_THREADS": str(cores),
                        "TOKENIZERS_PARALLELISM": "true" if cores > 1 else "false",
                    }
                },
                max_retries=2,
            )(task.function)
            pending[remote.remote(*task.arguments)] = task
        entries: dict[str, list[dict[str, Any]]] = {}
        done = 0
        while pending:
            (finished,), _ = ray.wait(list(pending), num_returns=1)
            task = pending.pop(finished)
            try:
                found = ray.get(finished)
                several = found if task.function is encode_parts else [found]
                entries |= dict(zip(task.keys, several, strict=True))
            except ray.exceptions.RayTaskError as error:
                if isinstance(error.cause, UserError):
                    raise error.cause from None
                raise
            done += task.bytes
            progress.update(done)
    return entries


def _threads(sizes: Sequence[int]) -> int:
    """Cores for each file: those of all machines shared out, at most those of the smallest one.

    Small files beside large ones are soon done: what is held out would leave a core idle for the rest.
    """
    import ray

    cores = [int(n["Resources"].get("CPU", 0)) for n in ray.nodes() if n["Alive"]]
    cores = [count for count in cores if count]
    files = max(1, round(sum(sizes) / max(sizes))) if any(sizes) else 1
    return max(1, min(sum(cores) // files, *cores)) if cores else 1


STAGE = Stage(name="tokenize", version=VERSION, reads=("tokenize",), run=run)
