"""Run a benchmark and keep what it prints in ``benchmarks/results/``, with what the figures depend on.

    python benchmarks/record.py benchmarks/rotary.py --rounds 31

The file is named for date, script and hardware; its head says machine, load before the start,
versions, commit and command. A script that fails leaves nothing.
"""

import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"


def hardware() -> str:
    """The GPU, or the processor and its cores."""
    import torch

    if torch.cuda.is_available():
        return f"{torch.cuda.device_count()} x {torch.cuda.get_device_name()}"
    found = platform.processor() or platform.machine()
    for line in _lines(Path("/proc/cpuinfo")):
        if line.startswith("model name"):
            found = line.partition(":")[2].strip()
            break
    return f"{len(os.sched_getaffinity(0))} cores of {found}"


def head(command: list[str]) -> str:
    """What the figures depend on, a line each."""
    commit = _output("git", "describe", "--always", "--dirty")
    versions = ", ".join(f"{name} {version(name)}" for name in ("torch", "transformers", "ray"))
    return (
        f"date: {datetime.now(UTC):%Y-%m-%d %H:%M} UTC\nhardware: {hardware()}\n"
        f"load before: {os.getloadavg()[0]:.1f}\npython {platform.python_version()}, {versions}\n"
        f"commit: {commit}\ncommand: python {' '.join(command)}\n\n"
    )


def record(command: list[str]) -> int:
    """Run it, pass its lines on, and return its exit code."""
    text = [head(command)]
    child = subprocess.Popen(
        [sys.executable, *command],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert child.stdout is not None
    for line in child.stdout:
        print(line, end="", flush=True)
        text.append(line.replace(str(ROOT), "."))
    if child.wait() == 0:
        name = re.sub(r"[^a-z0-9]+", "-", f"{Path(command[0]).stem} {hardware()}".lower()).strip(
            "-"
        )
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / f"{datetime.now(UTC):%Y-%m-%d}-{name}.txt").write_text("".join(text))
    return child.returncode


def _lines(path: Path) -> Iterator[str]:
    if path.is_file():
        yield from path.read_text(encoding="utf-8").splitlines()


def _output(*command: str) -> str:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "none"


if __name__ == "__main__":
    sys.exit(record(sys.argv[1:]))
