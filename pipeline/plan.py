"""What a run would do to each stage, and why. Planning touches nothing."""

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any, Literal

from pipeline import finished
from pipeline.graph import Graph, touch
from stages.common.errors import UserError

FORCED, NEVER = "forced", "never ran here"
Seen = dict[tuple[str, str, str], dict[str, Any]]
Action = Literal["run", "restore", "reuse", "maybe", "fresh", "absent", "unkept"]
LOST: tuple[Action, ...] = ("absent", "unkept")
"""What only the user can decide about: nothing runs."""


@dataclass(frozen=True)
class Decision:
    """An action and the reason for it, in one line.

    ``run``: something it depends on changed. ``restore``: DVC has its outs, they are only not in the
    workspace. ``reuse``: it was made before from the same params and inputs, and its outs come back
    from the cache. ``maybe``: it runs if what stands before it comes out different. ``fresh``: nothing
    to do. ``absent``: dvc.lock records its outs, but they are neither here nor in the cache.
    ``unkept``: they are here, and not in the cache.
    """

    action: Action
    reason: str


def plan(
    graph: Graph, names: Sequence[str], forced: Mapping[str, str] = MappingProxyType({})
) -> dict[str, Decision]:
    """Decide for each of ``names``, which must be in the graph's order and closed upstream.

    ``forced``: stages that run even where DVC sees no change, and why.
    """
    decisions: dict[str, Decision] = {}
    seen: Seen = {}
    inputs: dict[str, str] = {}
    moved: set[str] = set()
    for name in names:
        before = {up: decisions[up] for up in graph.upstream[name] if up in decisions}
        decisions[name] = _decide(graph.stages[name], before, forced.get(name), seen, inputs, moved)
        outs = {out.def_path: out.hash_info.value for out in graph.stages[name].outs}
        if decisions[name].action in ("fresh", "restore"):
            inputs.update(outs)
        if decisions[name].action != "fresh":
            moved |= outs.keys()
    return decisions


def refuse_absent(decisions: Mapping[str, Decision]) -> None:
    """Raise ``UserError`` where the cache lacks what dvc.lock records: remaking it is no default."""
    for name, decision in decisions.items():
        if decision.action in LOST:
            fix = "`dvc pull` fetches what dvc.lock records"
            if decision.action == "unkept":
                fix = f"`dvc commit --force {name}` puts it there"
            raise UserError(
                f"{name}: {decision.reason}; {fix}, or delete dvc.lock to make everything anew"
            )


def _decide(
    stage: Any,
    before: Mapping[str, Decision],
    forced: str | None,
    seen: Seen,
    inputs: dict[str, str],
    moved: Collection[str],
) -> Decision:
    if forced:
        return Decision("run", forced)
    found = _look(stage, before, seen, inputs, moved)
    other = any(decision.action == "reuse" for decision in before.values())
    settled = not any(decision.action in ("run", "maybe", *LOST) for decision in before.values())
    if settled and (found.action == "run" or (other and found.action not in LOST)):
        # What "run" was said of is not as dvc.lock has it, whatever was kept.
        outs = finished.known(stage, inputs, moved, locked=found.action != "run")
        if outs is not None:
            inputs.update(outs)
            changed = f"{found.reason}; " if found.action == "run" and found.reason != NEVER else ""
            return Decision("reuse", f"{changed}{finished.BROUGHT_BACK}")
    return found


def _look(
    stage: Any,
    before: Mapping[str, Decision],
    seen: Seen,
    inputs: Mapping[str, str],
    moved: Collection[str],
) -> Decision:
    """The decision by what dvc.lock has, and nothing else."""
    params, files, unsure = _changes(stage, seen, inputs, moved)
    outs = {path: change for out in stage.outs for path, change in _status(out, seen).items()}
    remade = [name for name, one in before.items() if one.action in ("run", "maybe", "reuse")]
    absent = [name for name, decision in before.items() if decision.action == "absent"]
    if not any(out.hash_info for out in stage.outs):
        return Decision("run", NEVER)
    if params:
        return Decision("run", "; ".join(_leaves(stage, params)))
    if stage.changed_stage():
        return Decision("run", "its command or outs changed in dvc.yaml")
    if remade:
        return Decision("maybe", f"after {_some(remade)}")
    if absent:
        return Decision("absent", f"{_some(absent)} not here and not in the cache")
    if files:
        return Decision("run", f"{_some(files)} changed")
    if not all(out.hash_info for out in stage.outs):  # `changed_stage` asks for the command alone
        return Decision("run", "its command or outs changed in dvc.yaml")
    lost = [str(out) for out in stage.outs if outs.get(str(out)) == "not in cache"]
    if lost and not any(out.workspace_status() for out in stage.outs):
        return Decision("unkept", f"{_some(lost)} here, but not in DVC's cache")
    if lost:
        return Decision("absent", f"{_some(lost)} not here as recorded and not in the cache")
    if unsure:
        back = [name for name, one in before.items() if one.action != "fresh"]
        return Decision("maybe", f"after {_some(back)}")
    if outs:
        return Decision("restore", f"{_some(list(outs))} as recorded in dvc.lock")
    return Decision("fresh", "nothing changed")


def _changes(
    stage: Any, seen: Seen, inputs: Mapping[str, str], moved: Collection[str]
) -> tuple[dict[str, Any], list[str], bool]:
    """Changed params by file, changed files, and whether a dependency cannot be known yet.

    A dependency that another stage brings back is taken as the stage will find it: what lies there
    now may be gone, or left by other params.
    """
    from dvc.dependency import ParamsDependency

    # Piece by piece: `stage.status()` takes DVC's locks and fails while another run is at the stage.
    params: dict[str, Any] = {}
    files: list[str] = []
    unsure = False
    for dep in stage.deps:
        if isinstance(dep, ParamsDependency):
            found = _status(dep, seen)
            params.update({path: one for path, one in found.items() if isinstance(one, dict)})
            files += [path for path, one in found.items() if not isinstance(one, dict)]
        elif dep.def_path in inputs:
            files += [str(dep)] if dep.hash_info.value != inputs[dep.def_path] else []
        elif dep.hash_info and touch((dep.def_path,), moved):
            unsure = True  # a folder that outs come back into, or a file in an out
        else:
            files += _status(dep, seen)
    return params, files, unsure


def _status(item: Any, seen: Seen) -> dict[str, Any]:
    """DVC's status of a dependency or out; what many stages read is walked or parsed once a plan."""
    if isinstance(item.hash_info.value, dict):  # params
        return _params_status(item, seen)
    key = (type(item).__name__, str(item.fs_path), str(item.hash_info.value))
    if key not in seen:
        seen[key] = dict(item.status())
    return seen[key]


def _params_status(item: Any, seen: Seen) -> dict[str, Any]:
    if item.exists and not item.isdir():
        key = ("params", str(item.fs_path), "")
        if key not in seen:
            seen[key] = _content(item)
        item.read_params = partial(_values, seen[key], item.params)
    try:
        return dict(item.status())
    finally:
        item.__dict__.pop("read_params", None)


def _content(item: Any) -> dict[str, Any]:
    from dvc.dependency.param import read_param_file

    return dict(read_param_file(item.repo.fs, item.fs_path))


def _values(content: dict[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """What DVC's ``read_param_file`` finds under the dotted ``names``; without any, all."""
    from dpath import get

    found = {} if names else dict(content)
    for name in names:
        with suppress(KeyError):
            found[name] = get(content, name, separator=".")
    return found


def _leaves(stage: Any, params: Mapping[str, Mapping[str, str]]) -> list[str]:
    """The changed params, each with its old and new value."""
    found: list[str] = []
    for dep in stage.deps:
        changed = params.get(str(dep))
        if changed:
            old, new = dep.hash_info.value or {}, dep.read_params()
            for key in changed:
                found += _differences(key, old.get(key), new.get(key))
    return found


def _differences(key: str, old: Any, new: Any) -> list[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        keys = [*old, *(name for name in new if name not in old)]
        return [
            line
            for name in keys
            if old.get(name) != new.get(name)
            for line in _differences(f"{key}.{name}", old.get(name), new.get(name))
        ]
    return [f"{key} {_short(old)} -> {_short(new)}"]


def _short(value: Any) -> str:
    text = "none" if value is None else str(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more"
