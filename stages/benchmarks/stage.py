"""Samples of every task at every length, built once, with the token ids that models will read.

- ``<suite>/<task>-<length>.jsonl``: one sample a line.
- ``probes.jsonl``: inputs for the analysis of learned positions.
- ``manifest.json``: settings, and hashes of the files and of everything they were made from.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from stages.benchmarks import chat, longbench, ruler, ruler_files, structured
from stages.benchmarks.cost import LONGBENCH_ROWS, OUTSIDE, STRUCTURED
from stages.benchmarks.documents import load
from stages.benchmarks.draft import Cell
from stages.benchmarks.given import given, kinds, ruler_data
from stages.benchmarks.haystack import Prose
from stages.benchmarks.longbench import Source
from stages.benchmarks.params import BenchmarksParams
from stages.benchmarks.probes import probes
from stages.benchmarks.version import VERSION
from stages.benchmarks.words import Words
from stages.common import paths
from stages.common.encoder import Encoder
from stages.common.errors import UserError
from stages.common.files import link, sha256, write_json, write_jsonl
from stages.common.outs import building
from stages.common.progress import Progress
from stages.common.ray_session import on_ray, session
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
        self.encoder = _encoder(tokenizer.absolute())
        self.words = _words(self.encoder, params.ruler.word_tokens)
        self.prose = Prose(params.ruler.prose, self.words)
        self.source = Source(params.longbench)
        template = chat.template_of(params.template, tokenizer)
        self.chat = None if template is None else chat.Chat(template, self.encoder)

    def samples(self, part: Part) -> Iterator[dict[str, Any]]:
        """The samples of one file, as the template asks them."""
        asked = None if chat.is_plain(part.suite, part.task) else self.chat
        rows = self._samples(part, asked.reserved if asked else 0)
        return map(asked.asked, rows) if asked else rows

    def _samples(self, part: Part, reserved: int) -> Iterator[dict[str, Any]]:
        if part.suite in longbench.SUITES:
            return longbench.samples(self.source, part.task, part.length, self.encoder, reserved)
        if (section := self.params.structured.get(part.suite)) is not None:
            suite = structured.suite(part.suite)
            return suite.samples(section, part.task, part.length, self.encoder, reserved)
        cell = Cell(
            task=part.task,
            length=part.length,
            params=self.params.ruler,
            seed=self.params.seed,
            encoder=self.encoder,
            words=self.words,
            prose=self.prose,
            reserved=reserved,
        )
        return ruler.samples(cell)

    def write(self, part: Part, folder: Path) -> None:
        """Write one file unless an earlier run has done it."""
        if not (folder / part.file).is_file():
            write_jsonl(folder / part.file, self.samples(part))


def parts(params: BenchmarksParams) -> list[Part]:
    """All files that are wanted, the longest first: they take the most time."""
    return [
        Part(suite, task, length)
        for length in reversed(params.lengths)
        for suite, tasks in _tasks(params, length)
        for task in tasks
    ]


def _tasks(params: BenchmarksParams, length: int) -> Iterator[tuple[str, Sequence[str]]]:
    """The suites and their tasks at a length."""
    yield ruler.SUITE, [t for t in params.ruler.tasks if params.ruler.samples_at(t, length)]
    for suite in longbench.SUITES:
        yield suite, [t for t in params.longbench.tasks if longbench.suite_of(t) == suite]
    for name, one, section in structured.asked(params):
        if length in (section.lengths or params.lengths[:1]):
            yield name, one.tasks(section)


def run(job: Job) -> None:
    """Build the samples of ``benchmarks``."""
    params = job.params.benchmarks
    wanted = parts(params)
    inputs = [paths.TOKENIZER, *given(params)]
    with workspace(job, inputs) as work, building(paths.BENCHMARKS) as out:
        progress = Progress("benchmarks", len(wanted), "files")
        build([Order(params, tuple(wanted), work.absolute())], paths.TOKENIZER, progress.update)
        builder = Builder(params, paths.TOKENIZER)
        for part in wanted:
            (out / part.file).parent.mkdir(parents=True, exist_ok=True)
            link(work / part.file, out / part.file)
        write_jsonl(
            out / "probes.jsonl",
            probes(params.lengths[0], params.seed, builder.encoder, builder.words),
        )
        write_json(out / "manifest.json", manifest(out, builder, paths.TOKENIZER))
        few = _fewer(params, {part: out / part.file for part in wanted})
    if few:
        print(f"benchmarks: {few}", flush=True)


def _fewer(params: BenchmarksParams, files: Mapping[Part, Path]) -> str | None:
    """One line where RULER's own files gave fewer samples than were asked for."""
    if params.ruler.data is None:
        return None
    mine = {f"{part.task}-{part.length}": part for part in files if part.suite == ruler.SUITE}
    asked = {name: _count(params, part) for name, part in mine.items()}
    return ruler_files.fewer(
        {name: ruler_files.rows_in(files[part]) for name, part in mine.items()}, asked
    )


@dataclass(frozen=True)
class Order:
    """Files that are wanted, what they are made from, and where they go."""

    params: BenchmarksParams
    wanted: tuple[Part, ...]
    folder: Path

    @property
    def missing(self) -> list[Part]:
        """Those that an earlier run has not finished."""
        return [part for part in self.wanted if not (self.folder / part.file).is_file()]

    def tokens(self) -> int:
        """About how many tokens the missing ones have."""
        return sum(part.length * _count(self.params, part) for part in self.missing)


def _count(params: BenchmarksParams, part: Part) -> int:
    if part.suite == ruler.SUITE:
        return params.ruler.samples_at(part.task, part.length)
    if part.suite in longbench.SUITES:
        return params.longbench.samples or LONGBENCH_ROWS
    return params.structured[part.suite].samples or STRUCTURED.get(part.suite, OUTSIDE)[0]


def build(orders: Sequence[Order], tokenizer: Path, done: Callable[[float], None]) -> None:
    """Write the files that are missing, on Ray where there is much to write.

    ``done`` is told how many of all wanted files stand there.
    """
    missing = [(order, part) for order in orders for part in order.missing]
    built = sum(len(order.wanted) for order in orders) - len(missing)
    little = sum(order.tokens() for order in orders) <= _IN_PROCESS_TOKENS
    if len(missing) == 1 or little or not on_ray():
        for count, (order, part) in enumerate(missing, start=built + 1):
            _write_part(order.params, tokenizer, part, order.folder)
            done(count)
        return
    with session():
        import ray  # after `session`: Ray reads its environment when it is imported

        remote = ray.remote(num_cpus=1)(_write_part)
        pending = [
            remote.remote(order.params, tokenizer.absolute(), part, order.folder)
            for order, part in missing
        ]
        total = built + len(missing)
        try:
            while pending:
                ready, pending = ray.wait(pending)
                ray.get(ready)
                done(total - len(pending))
        except ray.exceptions.RayTaskError as error:
            for reference in pending:
                ray.cancel(reference, force=True)
            if isinstance(error.cause, UserError):
                raise error.cause from None
            raise


def _write_part(params: BenchmarksParams, tokenizer: Path, part: Part, folder: Path) -> None:
    Builder(params, tokenizer).write(part, folder)


@lru_cache(maxsize=1)
def _encoder(tokenizer: Path) -> Encoder:
    return Encoder(tokenizer)


@lru_cache(maxsize=1)
def _words(encoder: Encoder, at_most: int | None) -> Words:
    return Words(encoder.count, at_most)


def _documents(params: BenchmarksParams) -> dict[str, str]:
    """Hashes of the collections that the questions are drawn from."""
    return {kind: load(kind, getattr(params.ruler, kind)).sha256 for kind in kinds(params)}


def manifest(out: Path, builder: Builder, tokenizer: Path) -> dict[str, Any]:
    """Settings, and hashes of the samples in ``out`` and of everything they were made from."""
    params = builder.params
    files = sorted(path for path in out.rglob("*.jsonl"))
    return {
        "version": VERSION,
        "protocol": params.ruler.protocol,
        "seed": params.seed,
        "lengths": list(params.lengths),
        "settings": params.model_dump(mode="json"),
        "formats": {task: asdict(builder.source.format(task)) for task in params.longbench.tasks},
        "hashes": {path.relative_to(out).as_posix(): sha256(path) for path in files},
        "words": builder.words.sha256,
        "prose": builder.prose.sha256,
        "documents": _documents(params),
        "longbench": {task: sha256(builder.source.file(task)) for task in params.longbench.tasks},
        "tokenizer": sha256(tokenizer / "tokenizer.json"),
        **({} if params.ruler.data is None else {"ruler": _hashes(ruler_data(params))}),
        **structured.digests(params),
    }


def _hashes(files: Mapping[str, Path]) -> dict[str, str]:
    return {name: sha256(file) for name, file in files.items()}


STAGE = Stage(name="benchmarks", version=VERSION, reads=("benchmarks",), run=run)
