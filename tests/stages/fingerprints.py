"""Fingerprints of the stages' code: does a change need a new VERSION?

A stage's fingerprint is a hash over the syntax trees of all project modules that it imports, itself
included, docstrings left out. ``fingerprints.json`` holds, for each stage, the VERSION and the
fingerprint it was recorded with. When the code changed and VERSION did not, the author decides:

    python -m tests.stages.fingerprints                  # after raising VERSION of what changed
    python -m tests.stages.fingerprints --no-effect S…   # results of S stay the same; says so in git
"""

import argparse
import ast
import hashlib
import importlib
import json
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
RECORD = Path(__file__).with_name("fingerprints.json")
STAGES = sorted(path.parent.name for path in (ROOT / "stages").glob("*/version.py"))
PACKAGES = ("stages", "repo_model")
NOT_THE_RESULT = {
    "stages.common.entry",
    "stages.common.findings",
    "stages.common.guard",
    "stages.common.progress",
    "stages.common.status",
    "stages.common.variables",
    "stages.params",
}
"""How a stage is started and shown, and the schema: a param that matters is tracked by its value."""


PYTHON = (3, 11)
"""Syntax trees differ between versions of Python; this one's are recorded."""


class Recorded(NamedTuple):
    """What is known of a stage's code."""

    version: int
    fingerprint: str


def closure(module: str) -> dict[str, Path]:
    """Modules of this project that ``module`` imports, directly or not, with their files."""
    found: dict[str, Path] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        file = _file(name)
        if name in found or file is None or name in NOT_THE_RESULT or name.endswith(".params"):
            continue
        found[name] = file
        waiting += _imports(name, file)
    return found


def current() -> dict[str, Recorded]:
    """VERSION and fingerprint of every stage as the code stands."""
    return {
        stage: Recorded(
            importlib.import_module(f"stages.{stage}.version").VERSION,
            _fingerprint(closure(f"stages.{stage}.stage")),
        )
        for stage in STAGES
    }


def recorded() -> dict[str, Recorded]:
    """The record in the repository."""
    return {name: Recorded(*entry) for name, entry in json.loads(RECORD.read_text()).items()}


def undecided(now: dict[str, Recorded], before: dict[str, Recorded]) -> list[str]:
    """Stages whose code changed while their VERSION did not."""
    return [
        name
        for name, entry in now.items()
        if name in before
        and entry.fingerprint != before[name].fingerprint
        and entry.version == before[name].version
    ]


def _fingerprint(modules: dict[str, Path]) -> str:
    digest = hashlib.sha256()
    for name in sorted(modules):
        digest.update(f"{name}\n{_tree(modules[name])}\n".encode())
    return digest.hexdigest()[:16]


def _tree(file: Path) -> str:
    """The syntax tree without docstrings (also those behind a name) and without positions."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [  # type: ignore[attr-defined]
                line
                for line in body
                if not (isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant))
            ]
    return ast.dump(tree)


def _imports(module: str, file: Path) -> list[str]:
    package = module if file.name == "__init__.py" else module.rpartition(".")[0]
    names: list[str] = []
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".")[: len(package.split(".")) - node.level + 1]
            base = ".".join(
                [*(parts if node.level else []), *([node.module] if node.module else [])]
            )
            names += [base, *(f"{base}.{alias.name}" for alias in node.names)]
    return [name for name in names if name.partition(".")[0] in PACKAGES]


def _file(module: str) -> Path | None:
    path = ROOT.joinpath(*module.split("."))
    for candidate in (path.with_suffix(".py"), path / "__init__.py"):
        if candidate.is_file():
            return candidate
    return None


def main() -> None:
    """Record the code as it stands, once every change is decided."""
    parser = argparse.ArgumentParser(description="Record the stages' fingerprints.")
    parser.add_argument("--no-effect", nargs="+", default=[], choices=STAGES, metavar="STAGE")
    decided = parser.parse_args().no_effect
    if sys.version_info[:2] != PYTHON:
        raise SystemExit(f"Python {'.'.join(map(str, PYTHON))} records fingerprints, no other")
    now = current()
    before = recorded() if RECORD.is_file() else {}
    open_questions = [name for name in undecided(now, before) if name not in decided]
    if open_questions:
        raise SystemExit(
            f"{', '.join(open_questions)}: the code changed; raise VERSION in version.py, or say "
            f"--no-effect {' '.join(open_questions)}"
        )
    RECORD.write_text(json.dumps(now, indent=1) + "\n")


if __name__ == "__main__":
    main()
