"""What the conductor (Prefect, Ray, a plan) costs: CPU over `dvc repro` with stub stages.

    python benchmarks/conductor.py [--variants 2]

Both run the whole graph with stages that write a file each. The goal: at most 1.5 CPU seconds a stage
and 8 besides. DVC's own start is named apart: the conductor starts it once a stage, so that Prefect can
order and retry stages, `dvc repro` once in all.
"""

import argparse
import os
import tempfile
from pathlib import Path

from checkouts import checkout, measured

A_STAGE, BESIDES = 1.5, 8.0


def main() -> None:
    """Print the table and whether the goal is met."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--variants", type=int, default=2)
    options = parser.parse_args()
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores\n")
    print("| with stub stages | seconds | CPU seconds |\n|---|--:|--:|")
    with tempfile.TemporaryDirectory() as temporary:
        spent = {}
        for name, command in (
            ("`dvc repro`", ["-m", "dvc", "repro"]),
            ("`repo-pipeline run`", ["-m", "pipeline.cli", "run"]),
        ):
            folder = checkout(Path(temporary) / str(len(spent)), options.variants)
            spent[name] = measured(command, folder)
            if spent[name].code:
                raise SystemExit(f"{name}: {spent[name].output[-3000:]}")
            print(f"| {name} | {spent[name].seconds:.1f} | {spent[name].cpu:.1f} |", flush=True)
        start = measured(["-m", "dvc", "repro", "--single-item", "report"], folder)
    stages = 7 + 4 * options.variants
    repro, run = spent.values()
    print(f"| one start of DVC | {start.seconds:.1f} | {start.cpu:.1f} |")
    over, dvc = run.cpu - repro.cpu, (stages - 1) * start.cpu
    goal = A_STAGE * stages + BESIDES
    print(
        f"\n{stages} stages: {over:.1f} CPU s over `dvc repro` (goal {goal:.1f}: "
        f"{'met' if over <= goal else 'missed'}), of which DVC's starts {dvc:.1f}, "
        f"the rest {over - dvc:.1f}"
    )


if __name__ == "__main__":
    main()
