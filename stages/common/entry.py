"""How every stage starts and ends: ``python -m stages.<name> [--variant V --seed S]``.

Params are checked before anything is touched. The end is reported three ways: one line on stderr,
an exit code (``stages.common.errors``) and, when asked for, the status file.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from stages.checks import findings
from stages.common import guard
from stages.common.errors import DONE, UserError
from stages.common.findings import stop
from stages.common.printable import take_any_letter
from stages.common.seen import Seen, this_machine
from stages.common.stage import Job, Stage
from stages.common.status import Status, ended, report, stop_at_sigterm
from stages.params import Params, load

PARAMS_FILE = Path("params.yaml")


def main(stage: Stage, arguments: Sequence[str] | None = None) -> NoReturn:
    """Run ``stage`` in the working directory and exit with the code that says how it ended."""
    parser = argparse.ArgumentParser(prog=f"python -m stages.{stage.name}")
    if stage.matrix:
        parser.add_argument("--variant", required=True, help="one of the params' variants")
        parser.add_argument("--seed", required=True, type=int, help="seed, of params seeds")
    options = parser.parse_args(arguments)
    take_any_letter()
    stop_at_sigterm()
    guard.watch()
    status = attempt(stage, getattr(options, "variant", None), getattr(options, "seed", None))
    if status.code != DONE:
        print(f"{stage.name}: {status.line}", file=sys.stderr, flush=True)
    report(status)
    sys.exit(status.code)


def attempt(stage: Stage, variant: str | None = None, seed: int | None = None) -> Status:
    """Run ``stage`` on ``params.yaml`` and say how it ended; never raises for a stage's failure."""

    def work() -> None:
        params = load(PARAMS_FILE)
        for name, value, known in (
            ("variant", variant, params.variants),
            ("seed", seed, params.seeds),
        ):
            if stage.matrix and value not in known:
                raise UserError(f"--{name} {value} is not among the params' {name}s {list(known)}")
        seen = Seen(params, Path.cwd(), os.environ, this_machine(os.environ))
        for warning in stop(findings(seen, [stage.name])):
            print(f"{stage.name}: warning: {warning.line}", file=sys.stderr, flush=True)
        stage.run(job_of(stage, params, variant, seed))

    return ended(work, trace=True)


def job_of(
    stage: Stage, params: Params, variant: str | None = None, seed: int | None = None
) -> Job:
    """A run of ``stage`` that holds what the stage may read of ``params``, and nothing else."""
    part = None
    if stage.defines and variant is not None:
        part = getattr(params.definitions[variant], stage.defines)
    return Job(stage, only(params, stage.reads), variant, seed, part, params.reference)


def only(params: Params, sections: Sequence[str]) -> Params:
    """``params`` with the named sections alone, so that a stage cannot read what DVC does not track."""
    return Params.model_construct(**{name: getattr(params, name) for name in sections})
