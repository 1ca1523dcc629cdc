"""The graph, as DVC reads it from ``dvc.yaml``: nothing else lists the stages."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline import git
from pipeline.cache_links import unwritable
from stages.common.errors import UserError


@dataclass(frozen=True)
class Graph:
    """Stages by DVC's name (``train@rope-42``), in an order in which they can run."""

    repo: Any
    stages: dict[str, Any]
    """DVC's stage objects."""
    upstream: dict[str, list[str]]

    def inputs(self, names: Collection[str] | None = None) -> list[Path]:
        """Files and folders that stages read and none makes, relative to the project.

        ``names``: only what these stages read.
        """
        made = [Path(str(out)) for stage in self.stages.values() for out in stage.outs]
        readers = [stage for name, stage in self.stages.items() if names is None or name in names]
        needed = {Path(str(dep)) for stage in readers for dep in stage.deps if _is_file(dep)}
        return sorted(
            path
            for path in needed
            if not any(path.is_relative_to(out) or out.is_relative_to(path) for out in made)
        )

    def refuse_missing(self, root: Path) -> None:
        """Raise ``UserError`` for an input that no stage makes and that is not there."""
        for path in self.inputs():
            if not (root / path).exists():
                raise UserError(
                    f"{path}: no such file or folder, and a stage needs it (`needs` in params.yaml)"
                )

    def refuse_read_only_cache(self) -> None:
        """Raise ``UserError`` when DVC could not keep what a stage makes: now, not after hours."""
        folder = Path(self.repo.cache.local_cache_dir)
        if why := unwritable(folder):
            raise UserError(f"DVC's cache {folder}: {why}; make it writable, or `dvc cache dir`")

    def named(self, targets: Sequence[str]) -> set[str]:
        """The targets themselves, all stages for none; one without an item means all its items."""
        wanted = set() if targets else set(self.stages)
        for target in targets:
            found = [name for name in self.stages if target in (name, name.partition("@")[0])]
            if not found:
                known = sorted({name.partition("@")[0] for name in self.stages})
                raise UserError(f"stage {target!r}: unknown; there are {', '.join(known)}")
            wanted.update(found)
        return wanted

    def select(self, targets: Sequence[str]) -> list[str]:
        """The targets and all they depend on, in order."""
        wanted = self.named(targets)
        for name in reversed(list(self.stages)):
            if name in wanted:
                wanted.update(self.upstream[name])
        return [name for name in self.stages if name in wanted]


NAME = re.compile(r"[A-Za-z0-9_-]+(@[A-Za-z0-9_.-]+)?")


def _is_ours(stage: Any, root: Path) -> bool:
    return (
        bool(getattr(stage, "name", None))
        and Path(stage.path).resolve() == (root / "dvc.yaml").resolve()
    )


def _is_file(dep: Any) -> bool:
    from dvc.dependency.param import ParamsDependency

    return not isinstance(dep, ParamsDependency) and dep.protocol == "local"


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]


def bad_settings(error: Exception) -> UserError:
    """What DVC says of settings that it cannot read."""
    files = ".dvc/config, .dvc/config.local or `dvc config --global`"
    return UserError(f"DVC's settings ({files}): {_first_line(error)}")


def read_graph(root: Path) -> Graph:
    """Read ``dvc.yaml`` and ``dvc.lock`` of the project at ``root``."""
    import networkx  # 0.14 s, which a run that is refused need not wait
    from dvc.config import ConfigError
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    if not (root / "dvc.yaml").is_file():
        raise UserError(f"{root}: no dvc.yaml here; change to the project's folder")
    try:
        repo = Repo(str(root))
        graph = repo.index.graph
    except ConfigError as error:
        raise bad_settings(error) from None
    except DvcException as error:
        raise UserError(f"dvc.yaml: {_first_line(error)}") from None
    except ValueError:  # DVC's own reader of git's settings names no file
        try:
            git.git(root, "config", "--list")
        except git.GitError as error:
            raise UserError(f"git: {error}; correct the file") from None
        raise
    if Path(repo.root_dir).resolve() != root.resolve():
        raise UserError(f"{root}: DVC's project is {repo.root_dir}; `dvc init --subdir` here")
    # Others have their own DVC files beside (`dvc add`): no name, and not our dvc.yaml.
    ours = {stage for stage in repo.index.stages if _is_ours(stage, root)}
    stages = {stage: str(stage.name) for stage in graph if stage in ours}
    for name in stages.values():
        if not NAME.fullmatch(name):  # it goes into a shell command
            raise UserError(
                f"dvc.yaml: stage {name!r}: names of variants and the like in params.yaml have "
                "letters, digits, '-', '_' and '.' only"
            )
    # DVC's edges run from a stage to what it needs; ties follow the order of dvc.yaml.
    position = {stage: number for number, stage in enumerate(repo.index.stages)}
    order = networkx.lexicographical_topological_sort(
        graph.reverse(copy=False), key=lambda stage: position[stage]
    )
    ordered = [stage for stage in order if stage in stages]
    return Graph(
        repo,
        {stages[stage]: stage for stage in ordered},
        {stages[s]: [stages[u] for u in graph.successors(s) if u in stages] for s in ordered},
    )


def touch(deps: Collection[str], outs: Collection[str]) -> bool:
    """Whether a dependency is an out, holds one, or is in one."""
    pairs = [(str(dep), out) for dep in deps for out in outs]
    return any(d == o or d.startswith(f"{o}/") or o.startswith(f"{d}/") for d, o in pairs)
