"""What it takes until a command that has nothing to do, or to refuse, has said so.

    python benchmarks/startup.py [--rounds 5] [--items 50] [--shards 600]

The least of some rounds, in seconds and in CPU seconds of the command and all it starts: on a busy
machine the latter are the ones to compare. ``--items 0`` leaves out the large checkout, whose making
takes a minute. Below, what a process pays that imports a library.
"""

import argparse
import os
import tempfile
from pathlib import Path

from checkouts import ROOT, Spent, checkout, finished, measured, shards

COMMANDS = {
    "`--help`": (["-m", "pipeline.cli", "--help"], 0),
    "`--version`": (["-m", "pipeline.cli", "--version"], 0),
    "`run`, nothing to do": (["-m", "pipeline.cli", "run"], 0),
    "`plan`": (["-m", "pipeline.cli", "plan"], 0),
    "`evaluate /nonexistent`, refused": (["-m", "pipeline.cli", "evaluate", "/nonexistent"], 2),
}
LIBRARIES = ("dvc.repo", "prefect", "ray", "torch", "ray.train.torch", "repo_model")


def least(command: list[str], code: int, folder: Path, rounds: int) -> Spent:
    """The round with the least CPU; one that ends otherwise than it should is no figure."""
    found = [measured(command, folder) for _ in range(rounds)]
    for one in found:
        if one.code != code:
            raise SystemExit(f"{' '.join(command)}: exit code {one.code}\n{one.output[-2000:]}")
    return min(found, key=lambda one: one.cpu)


def row(name: str, spent: Spent) -> None:
    """A row of the table."""
    print(f"| {name} | {spent.seconds:.2f} | {spent.cpu:.2f} |", flush=True)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--items", type=int, default=50, help="0: leave the large checkout out")
    parser.add_argument("--shards", type=int, default=600)
    options = parser.parse_args()
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores; least of {options.rounds}\n")
    print("| command | seconds | CPU seconds |\n|---|--:|--:|")
    with tempfile.TemporaryDirectory() as temporary:
        small = checkout(Path(temporary) / "small")
        finished(small)
        for name, (command, code) in COMMANDS.items():
            row(name, least(command, code, small, options.rounds))
        if options.items:
            variants = options.items // 2
            large = checkout(Path(temporary) / "large", variants, 2)
            shards(large, options.shards)
            finished(large)
            spent = least(["-m", "pipeline.cli", "run"], 0, large, options.rounds)
            row(f"`run`, nothing to do, {2 * variants} items, {options.shards} shards", spent)
    for name in LIBRARIES:
        row(f"`import {name}`", least(["-c", f"import {name}"], 0, ROOT, options.rounds))


if __name__ == "__main__":
    main()
