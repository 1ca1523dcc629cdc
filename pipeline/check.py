"""The one check, as the conductor asks it: before anything is written, paid for or sent.

Stages that dvc.lock does not know are checked before DVC is even read; the others once it has been
decided that they would run: what is finished needs its inputs no more.
"""

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from pipeline.cluster_file import ClusterFile
from pipeline.graph import touch
from pipeline.stage_files import stages_in
from pipeline.use import BRING_BACK, PARAMS
from stages.checks import findings
from stages.common import variables
from stages.common.errors import UserError
from stages.common.findings import Finding, stop
from stages.common.migration import migrate
from stages.common.reading import parse
from stages.common.seen import Place, Seen, this_machine
from stages.params import Params, load


def seen_here(params: Params, root: Path, planning: bool = False) -> Seen:
    """What a run on this machine (or on the Ray that it joins) would find."""
    return Seen(params, root, os.environ, this_machine(os.environ), planning=planning)


def seen_there(params: Params, root: Path, described: ClusterFile, planning: bool = False) -> Seen:
    """What a run on the machines of ``described`` would find; without any, here."""
    if described.address is None and not described.gpus:
        return seen_here(params, root, planning)
    stop(variables.check(os.environ))
    place = Place(cores=None, gpus=described.gpus or None)
    settings = {**_ours(os.environ), **described.environment}
    return Seen(params, root, settings, place, planning=planning, elsewhere=True)


def first(seen: Seen, targets: Sequence[str] = ()) -> list[Finding]:
    """Check those stages that never ran; returns the warnings, raises ``UserError`` for the rest."""
    wanted = needed(seen.root, targets)
    known = {name.partition("@")[0] for name in stages_in(seen.root / "dvc.lock")}
    return stop(findings(seen, [name for name in wanted if name not in known]))


THERE = ("fresh", "restore", "reuse")
"""Actions that make nothing: who goes back to earlier params needs no more what they were made of."""


def decided(seen: Seen, decisions: Mapping[str, Any]) -> list[Finding]:
    """Check the stages that would run (``pipeline.plan.Decision``)."""
    return stop(findings(seen, [n for n, one in decisions.items() if one.action not in THERE]))


def everything(seen: Seen) -> list[Finding]:
    """Check all stages."""
    return stop(findings(seen, needed(seen.root, ())))


def read(root: Path, text: str | None = None) -> Params:
    """The params file at ``root``, or ``text`` in its place, parsed."""
    from ruamel.yaml import YAML

    file = root / PARAMS
    if text is None:
        if not file.is_file():
            raise UserError(f"{file}: no such file; {BRING_BACK}")
        return load(file)
    return parse(Params, migrate(YAML(typ="safe", pure=True).load(text)), PARAMS)


def needed(root: Path, targets: Sequence[str]) -> list[str]:
    """The targets and all they depend on, by dvc.yaml's own words; DVC itself takes a second."""
    stages = stages_in(root / "dvc.yaml")
    wanted = {target.partition("@")[0] for target in targets} or set(stages)
    outs = {name: _outs(entry) for name, entry in stages.items()}
    for name in reversed(list(stages)):
        if name in wanted:
            deps = stages[name].get("deps") or []
            wanted |= {other for other, made in outs.items() if touch(deps, made)}
    return [name for name in stages if name in wanted]


def say(warnings: Iterable[Finding]) -> None:
    """Print warnings, each once in a process."""
    for one in warnings:
        _say(f"warning: {one.line}")


def tell(notes: Iterable[str]) -> None:
    """Print what followed from what was set (``pipeline.overrides``), each once in a process."""
    for text in notes:
        _say(f"to fit what was set: {text}")


@cache
def _say(line: str) -> None:
    print(f"repo-pipeline: {line}", file=sys.stderr, flush=True)


def _ours(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: text for name, text in environment.items() if name.startswith(variables.PREFIX)}


def _outs(entry: Any) -> list[str]:
    listed = [*entry.get("outs", []), *entry.get("metrics", []), *entry.get("plots", [])]
    return [name for out in listed for name in (out if isinstance(out, dict) else [out])]
