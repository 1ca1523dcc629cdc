"""The files that samples are made from."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stages.benchmarks import corpora, ruler, ruler_files, structured
from stages.benchmarks.longbench import Source
from stages.benchmarks.params import STRUCTURED, BenchmarksParams
from stages.benchmarks.questions import Questions
from stages.benchmarks.template_files import file_of
from stages.common.errors import UserError

PATHS = {
    "ruler": ("prose", "squad", "hotpotqa", "data"),
    "longbench": ("path",),
    **dict.fromkeys(STRUCTURED, ("path",)),
}
"""Where the params name a file or a folder; ``template`` is another."""


def given(params: BenchmarksParams) -> list[Path]:
    """Files of the user's that the samples are made from."""
    named = [("prose", params.ruler.prose)]
    named += [(kind, getattr(params.ruler, kind)) for kind in kinds(params)]
    files = [*ruler_data(params).values()]
    for field, source in named:
        file = corpora.local(field, source)
        if file is not None:
            files.append(file)
            if not file.is_file():
                raise UserError(f"benchmarks.ruler.{field} is {source!r}: no such file")
    if template := file_of(params.template):
        if not template.is_file():
            raise UserError(f"benchmarks.template is {params.template!r}: no such file")
        files.append(template)
    return [*files, *_longbench(params), *_structured(params)]


def watched(params: BenchmarksParams, root: Path) -> list[Path]:
    """Those of ``given`` whose bytes may change under one name: no shipped set, no fetched file.

    Relative ones are below ``root``. Raises ``UserError`` for a folder that lacks one.
    """
    params = _below(root, params)
    texts = [params.ruler.prose, *(getattr(params.ruler, kind) for kind in kinds(params))]
    files = [Path(source) for source in texts if corpora.is_file(source)]
    if template := file_of(params.template):
        files.append(template)
    if params.longbench.path:
        files += _longbench(params)
    return [*ruler_data(params).values(), *files, *_structured(params)]


def _below(root: Path, params: BenchmarksParams) -> BenchmarksParams:
    """The params with every path absolute."""
    changed: dict[str, Any] = {}
    for name, fields in PATHS.items():
        if section := getattr(params, name):
            sources = {field: getattr(section, field) for field in fields}
            there = {f: str(root / s) for f, s in sources.items() if s and corpora.is_file(s)}
            changed[name] = section.model_copy(update=there)
    if params.outside:
        changed["outside"] = {
            name: section.model_copy(update={"path": str(root / section.path)})
            for name, section in params.outside.items()
        }
    if template := file_of(params.template):
        changed["template"] = str(root / template)
    return params.model_copy(update=changed)


def _longbench(params: BenchmarksParams) -> Iterator[Path]:
    rows = Source(params.longbench)
    yield from (rows.file(task) for task in params.longbench.tasks)
    if params.longbench.path and rows.prompts.is_file():
        yield rows.prompts


def _structured(params: BenchmarksParams) -> Iterator[Path]:
    for _, suite, section in structured.asked(params):
        yield from suite.files(section)


def ruler_data(params: BenchmarksParams) -> dict[str, Path]:
    """RULER's own files that are read, by task and length."""
    data = params.ruler.data
    if data is None:
        return {}
    return {
        f"{task}-{length}": ruler_files.file_of(data, task, length)
        for length in params.lengths
        for task in params.ruler.tasks
        if params.ruler.samples_at(task, length)
    }


def kinds(params: BenchmarksParams) -> list[str]:
    """Collections that the wanted tasks draw their questions from."""
    if params.ruler.data is not None:
        return []
    tasks = (ruler.TASKS[name] for name in params.ruler.tasks)
    return [task.kind for task in tasks if isinstance(task, Questions)]
