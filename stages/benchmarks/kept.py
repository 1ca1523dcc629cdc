"""Samples for a model that is evaluated by itself: built once, one file a task and length.

They live under ``REPO_RUNS/benchmarks/<key>/``, the key made of everything that decides them, so
that a second call, another list of tasks or another model with the same tokenizer builds nothing.
``manifest.json`` in it says what they were made from.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from stages.benchmarks.given import given
from stages.benchmarks.params import BenchmarksParams
from stages.benchmarks.stage import STAGE, Builder, Order, Part, build, manifest, parts
from stages.benchmarks.template_files import AUTO
from stages.common import runs
from stages.common.files import write_json
from stages.common.progress import Progress
from stages.common.stage import Job
from stages.params import Params


@dataclass(frozen=True)
class Kept:
    """A finished file of samples; ``file`` is relative to ``root()``."""

    part: Part
    file: str

    @property
    def path(self) -> Path:
        """Its place."""
        return root() / self.file


def root() -> Path:
    """The folder of all samples that were built this way."""
    return runs.root() / STAGE.name


def samples(settings: Sequence[BenchmarksParams], tokenizer: Path) -> list[Kept]:
    """The samples of every task at every length of ``settings``, built where they are missing.

    Each of ``settings`` is kept by itself: give one for each task and length.
    """
    found: list[Kept] = []
    orders: list[Order] = []
    with ExitStack() as owned:
        for params in settings:
            job = Job(STAGE, Params.model_construct(benchmarks=params))
            inputs = [tokenizer / "tokenizer.json", *given(params)]
            if params.template == AUTO:
                names = ("tokenizer_config.json", "chat_template.jinja", "chat_template.json")
                inputs += [tokenizer / name for name in names if (tokenizer / name).is_file()]
            folder = owned.enter_context(runs.workspace(job, inputs))
            orders.append(Order(params, tuple(parts(params)), folder))
            found += [Kept(part, f"{folder.name}/{part.file}") for part in orders[-1].wanted]
        if any(order.missing for order in orders):
            progress = Progress("samples", len(found), "files")
            build(orders, tokenizer, progress.update if len(found) > 1 else lambda done: None)
        for order in orders:
            file = order.folder / "manifest.json"
            if not file.is_file():
                builder = Builder(order.params, tokenizer)
                write_json(file, manifest(order.folder, builder, tokenizer))
    return found
