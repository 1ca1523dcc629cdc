"""How much of the machine an evaluation uses: busy cores, and all cores against one.

    python benchmarks/cores.py FOLDER [--lengths 512] [--tasks vt] [--num 100] [--rounds 3]

``repo-pipeline evaluate`` of a model, with one core and with all of them in turn. Time counts from
the first shard that every actor has stored to the last, so Ray's start, imports and loading are left
out. Busy is the machine's own count over that time: it wants a quiet machine, and a model that is
worth an actor a core (a toy's evaluation has one). Goals: 85 % of all cores busy, two cores 1.7 times
one.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from statistics import median

import psutil
from record import hardware

ROOT = Path(__file__).resolve().parents[1]
CORES = len(os.sched_getaffinity(0))
EVERY_S = 0.25
BATCH_TOKENS = "2048"
"""Small shards, so that there are many of them."""


def watch(busy: list[tuple[float, float]], ended: threading.Event) -> None:
    """Keep (time, share of all cores that is busy) until the event is set."""
    psutil.cpu_percent()
    while not ended.wait(EVERY_S):
        busy.append((time.time(), psutil.cpu_percent()))


def evaluate(command: list[str], runs: Path, cores: int) -> tuple[float, float]:
    """Rows a second and the share of the machine that was busy, in percent."""
    busy: list[tuple[float, float]] = []
    ended = threading.Event()
    watcher = threading.Thread(target=watch, args=(busy, ended))
    watcher.start()
    variables = {"REPO_RUNS": str(runs), "REPO_CPUS": str(cores)}
    variables |= {"REPO_EVAL_BATCH_TOKENS": BATCH_TOKENS, "REPO_EVAL_ACTORS": str(cores)}
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    ended.set()
    watcher.join()
    if done.returncode:
        sys.exit(done.stdout[-1000:] + done.stderr[-1000:])
    stored = sorted((file.stat().st_mtime, file) for file in (runs / "evaluate").rglob("*.json"))
    first, last = stored[cores - 1][0], stored[-1][0]
    rows = sum(file.read_text().count('"seconds"') for at, file in stored if at > first)
    within = [share for at, share in busy if first < at <= last]
    if not within:
        sys.exit("too few shards for a figure; raise --num")
    return rows / (last - first), sum(within) / len(within)


def main() -> None:
    """A line for one core, for all, and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--lengths", default="512")
    parser.add_argument("--tasks", default="vt")
    parser.add_argument("--num", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    asked = ["--lengths", options.lengths, "--tasks", options.tasks, "--num", str(options.num)]
    command = [sys.executable, "-m", "pipeline.cli", "evaluate", str(options.folder.resolve())]
    command += ["--suite", "ruler", *asked]
    print(f"{hardware()}; load before {os.getloadavg()[0]:.1f}")
    found: dict[int, list[tuple[float, float]]] = {1: [], CORES: []}
    with tempfile.TemporaryDirectory() as place:
        for number in range(options.rounds):
            for cores in (1, CORES):
                runs = Path(place) / f"{number}-{cores}"
                found[cores].append(evaluate([*command, "--out", str(runs / "out")], runs, cores))
    for cores, figures in found.items():
        speed, busy = (median(one) for one in zip(*figures, strict=True))
        print(f"{cores} cores: {speed:.2f} samples/s, {busy:.0f} % of {CORES} cores busy")
    ratios = [all_[0] / one[0] for one, all_ in zip(found[1], found[CORES], strict=True)]
    print(f"{CORES} cores to one: {median(ratios):.2f} x ({min(ratios):.2f}-{max(ratios):.2f})")


if __name__ == "__main__":
    main()
