"""The command ``repo-pipeline``.

An error is one line that names the field, the value and the mend; exit code 2 is the user's
mistake, 75 "try again", 1 a failure. ``--debug`` shows the trace.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from pipeline.environment import prepare
from stages.common.errors import DONE, FAILED, TRY_AGAIN, USER_MISTAKE, UserError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Take a base model through RePo continual pre-training, extension, evaluation and report.",
)
Stages = Annotated[
    list[str] | None,
    typer.Argument(help="Stages of dvc.yaml, with all they need; none: every one."),
]
Force = Annotated[bool, typer.Option(help="Run the stages even where nothing changed.")]


@app.callback()
def _options(
    debug: Annotated[bool, typer.Option(help="Show the trace of an error.")] = False,
) -> None:
    if debug:
        os.environ["REPO_DEBUG"] = "1"


@app.command()
def run(stages: Stages = None, force: Force = False) -> None:
    """Bring the stages up to date, in place; what did not change is skipped."""
    from pipeline.graph import read_graph
    from pipeline.plan import plan as decide
    from stages.params import load

    started = time.monotonic()
    root = Path.cwd()
    load(root / "params.yaml")
    graph = read_graph(root)
    names = graph.select(stages or [])
    forced = graph.named(stages or []) if force else set()
    decisions = decide(graph, names, forced)
    absent = [name for name, decision in decisions.items() if decision.action == "absent"]
    if absent:
        raise UserError(
            f"{absent[0]}: {decisions[absent[0]].reason}; `dvc pull` fetches what dvc.lock records, "
            "or delete dvc.lock to make everything anew"
        )
    if all(decision.action == "fresh" for decision in decisions.values()):
        print(f"nothing to do: {len(names)} stages are up to date")
    else:
        _run_flow(stages or [], force)
        print(f"done in {time.monotonic() - started:.0f} s")
    if "report" in names:
        _show_results(root)


@app.command()
def plan(stages: Stages = None) -> None:
    """Say what a run would do to each stage, and why; touches nothing."""
    from pipeline.graph import read_graph
    from pipeline.plan import plan as decide
    from stages.params import load

    load(Path("params.yaml"))
    graph = read_graph(Path.cwd())
    names = graph.select(stages or [])
    width = max(len(name) for name in names)
    for name, decision in decide(graph, names).items():
        print(f"{name:{width}}  {decision.action:8}{decision.reason}")


@app.command()
def use(profile: Annotated[str, typer.Argument(help="A profile's name.")]) -> None:
    """Replace params.yaml by a profile; refuses over edits that are not committed."""
    from pipeline.use import use as put

    put(profile, Path.cwd())
    print(f"params.yaml is now the profile {profile!r}")


def _run_flow(targets: Sequence[str], force: bool) -> None:
    from pipeline.flow import repo_pipeline
    from pipeline.process import stop_all

    def stop(number: int, frame: FrameType | None) -> None:
        stop_all()
        raise KeyboardInterrupt

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    repo_pipeline(targets=list(targets), force=force, label="run")


def _show_results(root: Path) -> None:
    if (root / "report" / "metrics.json").is_file():
        command = [sys.executable, "-m", "stages.report.summary", "report/metrics.json"]
        subprocess.run(command, cwd=root, check=False)
        print(f"report: {root / 'report' / 'index.html'}")


def main() -> None:
    """Run the command line; every expected error is one line."""
    prepare()
    try:
        app(standalone_mode=False)
    except typer.Exit as done:
        sys.exit(done.exit_code)
    except Exception as error:
        if os.environ.get("REPO_DEBUG"):
            raise
        sys.exit(_end(error))
    except KeyboardInterrupt:
        print("repo-pipeline: stopped; run again to go on from here", file=sys.stderr)
        sys.exit(TRY_AGAIN)
    sys.exit(DONE)


def _end(error: Exception) -> int:
    from click import ClickException

    if isinstance(error, ClickException):
        error.show()
        return USER_MISTAKE
    print(f"repo-pipeline: {str(error).strip() or type(error).__name__}", file=sys.stderr)
    if isinstance(error, UserError):
        return USER_MISTAKE
    return int(getattr(error, "code", FAILED))


if __name__ == "__main__":
    main()
