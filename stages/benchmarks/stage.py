"""Samples of every task at every length, built once, with the token ids that models will read.

- ``ruler/<task>-<length>.jsonl`` and ``longbench/<task>-<length>.jsonl``: one sample a line.
- ``probes.jsonl``: inputs for the analysis of learned positions.
- ``manifest.json``: settings, and hashes of the files and of everything they were made from.
"""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from stages.benchmarks import longbench, ruler
from stages.benchmarks.draft import Cell
from stages.benchmarks.encoder import Encoder
from stages.benchmarks.haystack import Prose
from stages.benchmarks.longbench import Source
from stages.benchmarks.params import BenchmarksParams
from stages.benchmarks.probes import probes
from stages.benchmarks.version import VERSION
from stages.benchmarks.words import Words
from stages.common import paths
from stages.common.files import sha256, write_json, write_jsonl
from stages.common.outs import building
from stages.common.progress import Progress
from stages.common.ray_session import session
from stages.common.runs import workspace
from stages.common.stage import Job, Stage

_IN_PROCESS_TOKENS = 5_000_000
"""Up to here one process is done (about 0.7 M tokens/s) before Ray's workers have imported."""


@dataclass(frozen=True)
class Part:
    """One file of samples: a task at a length."""

    suite: str
    task: str
    length: int

    @property
    def file(self) -> str:
        """Its place in the out."""
        return f"{self.suite}/{self.task}-{self.length}.jsonl"


class Builder:
    """Everything that samples are drawn from, loaded once in each process."""

    def __init__(self, params: BenchmarksParams, tokenizer: Path) -> None:
        self.params = params
        self.encoder = Encoder(tokenizer)
        self.words = Words(self.encoder.count, params.ruler.word_tokens)
        self.prose = Prose(params.ruler.prose, self.words)
        self.source = Source(params.longbench)

    def samples(self, part: Part) -> Iterator[dict[str, Any]]:
        """The samples of one file."""
        if part.suite == longbench.SUITE:
            return longbench.samples(self.source, part.task, part.length, self.encoder)
        cell = Cell(
            task=part.task,
            length=part.length,
            params=self.params.ruler,
            seed=self.params.seed,
            encoder=self.encoder,
            words=self.words,
            prose=self.prose,
        )
        return ruler.samples(cell)

    def write(self, part: Part, folder: Path) -> None:
        """Write one file unless an earlier run has done it."""
        if not (folder / part.file).is_file():
            write_jsonl(folder / part.file, self.samples(part))


def parts(params: BenchmarksParams) -> list[Part]:
    """All files that are wanted, the longest first: they take the most time."""
    suites = ((ruler.SUITE, params.ruler.tasks), (longbench.SUITE, params.longbench.tasks))
    return [
        Part(suite, task, length)
        for length in reversed(params.lengths)
        for suite, tasks in suites
        for task in tasks
        if suite != ruler.SUITE or params.ruler.samples_at(task, length)
    ]


def run(job: Job) -> None:
    """Build the samples of ``benchmarks``."""
    params = job.params.benchmarks
    builder = Builder(params, paths.TOKENIZER)
    wanted = parts(params)
    inputs = [paths.TOKENIZER, *_given(builder, params)]
    with workspace(job, inputs) as work, building(paths.BENCHMARKS) as out:
        progress = Progress("benchmarks", len(wanted), "files")
        _build(builder, wanted, work.absolute(), progress.update)
        for part in wanted:
            (out / part.file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(work / part.file, out / part.file)
        write_jsonl(
            out / "probes.jsonl",
            probes(params.lengths[0], params.seed, builder.encoder, builder.words),
        )
        write_json(out / "manifest.json", _manifest(out, builder))


def _build(
    builder: Builder, wanted: list[Part], folder: Path, done: Callable[[float], None]
) -> None:
    tokens = sum(part.length * builder.params.ruler.samples for part in wanted)
    if tokens <= _IN_PROCESS_TOKENS:
        for count, part in enumerate(wanted, start=1):
            builder.write(part, folder)
            done(count)
        return
    tokenizer = paths.TOKENIZER.absolute()
    with session():
        import ray  # after `session`: Ray reads its environment when it is imported

        remote = ray.remote(num_cpus=1)(_write_part)
        pending = [remote.remote(builder.params, tokenizer, part, folder) for part in wanted]
        while pending:
            ready, pending = ray.wait(pending)
            ray.get(ready)
            done(len(wanted) - len(pending))


def _write_part(params: BenchmarksParams, tokenizer: Path, part: Part, folder: Path) -> None:
    Builder(params, tokenizer).write(part, folder)


def _given(builder: Builder, params: BenchmarksParams) -> list[Path]:
    """Files of the user's that the samples are made from."""
    prose = [builder.prose.file] if builder.prose.file else []
    return [*prose, *(builder.source.file(task) for task in params.longbench.tasks)]


def _manifest(out: Path, builder: Builder) -> dict[str, Any]:
    params = builder.params
    files = sorted(path for path in out.rglob("*.jsonl"))
    return {
        "version": VERSION,
        "seed": params.seed,
        "lengths": list(params.lengths),
        "settings": params.model_dump(mode="json"),
        "formats": {task: asdict(builder.source.format(task)) for task in params.longbench.tasks},
        "hashes": {path.relative_to(out).as_posix(): sha256(path) for path in files},
        "words": builder.words.sha256,
        "prose": builder.prose.sha256,
        "longbench": {task: sha256(builder.source.file(task)) for task in params.longbench.tasks},
        "tokenizer": sha256(paths.TOKENIZER / "tokenizer.json"),
    }


STAGE = Stage(name="benchmarks", version=VERSION, reads=("benchmarks",), run=run)
