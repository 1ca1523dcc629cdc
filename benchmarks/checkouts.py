"""Checkouts whose stages are done or cost nothing, and the CPU of a command with all it starts.

For ``startup.py`` and ``conductor.py``: what is measured there is the conductor, not the work.
"""

import contextlib
import ctypes
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
FIGURES = ROOT / "docs" / "results" / "tiny" / "figures.json"
COPIED = (
    "dvc.yaml",
    "prefect.yaml",
    ".dvcignore",
    ".gitignore",
    "stages",
    "pipeline",
    "repo_model",
)
PR_SET_CHILD_SUBREAPER = 36

STUB = '''"""Writes small outs in place of the stage's work."""

import sys
from pathlib import Path

ITEM = f"{sys.argv[2]}-{sys.argv[4]}" if len(sys.argv) > 4 else ""
for name in OUTS.replace("ITEM", ITEM).split():
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.name == "figures.json":
        path.write_bytes(Path(FIGURES).read_bytes())  # the summary and Prefect's page read it
    elif path.suffix:
        path.write_text(f"{name}\\n")
    else:
        path.mkdir(exist_ok=True)
        (path / "manifest.json").write_text(f'{{"name": "{name}"}}\\n')
'''
OUTS = {
    "corpus": "data/corpus",
    "tokenizer": "data/tokenizer",
    "tokenize": "data/tokens",
    "base": "models/base",
    "benchmarks": "data/benchmarks",
    "train": "models/ITEM results/ITEM/loss.csv",
    "extend": "models/ITEM-extended",
    "evaluate_base": "results/base/samples results/base/metrics.json",
    "evaluate": "results/ITEM/samples results/ITEM/metrics.json",
    "analyze": "analysis/ITEM",
    "report": "report/index.html report/figures.json report/summary.csv report/plots "
    "report/metrics.json",
}
"""What each stage of dvc.yaml leaves; DVC refuses a stage whose outs are not there."""


class Spent(NamedTuple):
    """What a command took."""

    seconds: float
    cpu: float
    code: int
    output: str


def measured(command: Sequence[str], folder: Path) -> Spent:
    """Run ``python COMMAND`` in ``folder``; CPU of it and of every process that it started.

    Orphans come to this process, which waits for them: none is forgotten.
    """
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    before, began = _children(), time.monotonic()
    done = subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env=environment(folder),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    seconds = time.monotonic() - began
    with contextlib.suppress(ChildProcessError):
        while True:
            os.wait()
    return Spent(seconds, _children() - before, done.returncode, done.stdout + done.stderr)


def environment(folder: Path) -> dict[str, str]:
    """Variables of a process that works in a checkout and knows nothing of another run."""
    left_out = ("REPO_", "RAY_", "PREFECT", "CI")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(left_out)}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**kept, "PATH": path, "PYTHONPATH": str(folder), "DVC_NO_ANALYTICS": "1"}


def _children() -> float:
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime


def checkout(folder: Path, variants: int = 2, seeds: int = 1) -> Path:
    """A git and DVC repository with the code of this one, the profile ``smoke`` and stub stages."""
    folder.mkdir(parents=True)
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / name)
    for stage, outs in OUTS.items():
        (folder / "stages" / stage / "__main__.py").write_text(
            f"OUTS, FIGURES = {outs!r}, {str(FIGURES)!r}\n{STUB}"
        )
    (folder / ".dvc").mkdir()
    for name in ("config", ".gitignore"):
        shutil.copy(ROOT / ".dvc" / name, folder / ".dvc" / name)
    params = (ROOT / "pipeline" / "profiles" / "smoke.yaml").read_text(encoding="utf-8")
    (folder / "params.yaml").write_text(_items(params, variants, seeds), encoding="utf-8")
    for command in (
        ("init", "-q"),
        ("add", "-A"),
        (
            "-c",
            "user.name=benchmark",
            "-c",
            "user.email=b@example.org",
            "commit",
            "-qm",
            "checkout",
        ),
    ):
        subprocess.run(["git", *command], cwd=folder, check=True)
    return folder


def _items(params: str, variants: int, seeds: int) -> str:
    """``params`` with so many variants (copies of RePo under other names) and seeds."""
    names = ["rope", "repo", *(f"repo{number}" for number in range(2, variants))]
    part = "{train: {positions: repo}, evaluate: {}, report: {}}"
    more = "".join(f"  {name}: {part}\n" for name in names[2:])
    for old, new in (
        ("variants: [rope, repo]", f"variants: [{', '.join(names)}]"),
        ("seeds: [42]", f"seeds: {list(range(42, 42 + seeds))}"),
        (
            "  repo: {train: {}, evaluate: {}, report: {}}\n",
            f"  repo: {{train: {{}}, evaluate: {{}}, report: {{}}}}\n{more}",
        ),
    ):
        if old not in params:
            raise ValueError(f"smoke.yaml has no {old!r}; this benchmark must follow it")
        params = params.replace(old, new, 1)
    return params


def shards(folder: Path, count: int) -> None:
    """So many token files in the out of ``tokenize``, which is kept as the stage runs."""
    for number in range(count):
        file = folder / "data" / "tokens" / "train" / f"python-{number:05d}.npy"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(number.to_bytes(4, "little") * 64)


def finished(folder: Path) -> None:
    """Run the stubs through ``dvc repro``: as after a run."""
    command = [sys.executable, "-m", "dvc", "repro", "-q"]
    subprocess.run(command, cwd=folder, env=environment(folder), check=True)
