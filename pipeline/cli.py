"""The command ``repo-pipeline``.

An error is one line that names the field, the value and the fix; exit code 2 is the user's
mistake, 75 "try again", 1 a failure. ``--debug`` shows the trace.
"""

import errno
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from pipeline import project, streams, work
from pipeline.ended import Stopped
from pipeline.environment import defaults, prepare
from pipeline.remote import commands as remote
from stages.common.errors import DONE, FAILED, TRY_AGAIN, USER_MISTAKE, UserError
from stages.common.findings import stop
from stages.common.printable import take_any_letter

GROUPS = {
    "Run on this machine": ("run", "plan", "use", "serve", "doctor", "gc"),
    "Look at results": ("report", "sample", "export"),
    "Measure any model, without a run": ("evaluate", "samples", "score", "reproduce"),
    "Run on a cluster": ("submit", "status", "logs", "cancel", "fetch"),
}
"""Every command, in the order of the help."""


class _Grouped(TyperGroup):
    """Help by group, each command's line whole; plain help would cut it at the terminal's edge."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        for title, names in GROUPS.items():
            with formatter.section(title):
                formatter.write_dl(
                    [(name, self.commands[name].get_short_help_str(limit=500)) for name in names]
                )


app = typer.Typer(
    cls=_Grouped,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help: rich and its Markdown would double the time of `--help`
    help="Take a base model through RePo continual pre-training, extension, evaluation and report.",
)
Stages = Annotated[
    list[str] | None,
    typer.Argument(help="Stages of dvc.yaml, with all they need; none: every one."),
]
Force = Annotated[bool, typer.Option(help="Run the stages even where nothing changed.")]
Profile = Annotated[str | None, typer.Option(help="A profile's name, instead of params.yaml.")]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="A changed param; repeatable."),
]
Port = Annotated[int, typer.Option(min=1, max=65535, help="Port of Prefect's server, on loopback.")]


def _version(wanted: bool) -> None:
    if wanted:
        from pipeline.version import version

        print(f"repo-pipeline {version()}")
        raise typer.Exit


@app.callback()
def _options(
    debug: Annotated[bool, typer.Option(help="Show the trace of an error.")] = False,
    version: Annotated[
        bool,
        typer.Option("--version", is_eager=True, callback=_version, help="Version and commit."),
    ] = False,
) -> None:
    if debug:
        os.environ["REPO_DEBUG"] = "1"


@app.command()
def run(
    stages: Stages = None, profile: Profile = None, set_: Set = None, force: Force = False
) -> None:
    """Bring the stages up to date; what did not change is skipped.

    In place; with --profile or --set in a git worktree beside, ending as a DVC experiment.
    """
    from pipeline.ready import refuse_early
    from pipeline.run import run as start

    streams.go_on_unheard(*streams.FULL)  # a training matters more than its lines
    root = project.here()
    refuse_early(root, stages or [], profile, set_ or [])
    prepare(root)
    start(root, stages or [], profile, set_ or [], force)


@app.command()
def plan(
    stages: Stages = None,
    profile: Profile = None,
    set_: Set = None,
    cluster: Annotated[Path | None, typer.Option(help="A cluster file (infra/clusters).")] = None,
    gpu: Annotated[str | None, typer.Option(help="Kind of GPU, e.g. h200.")] = None,
    gpus: Annotated[int | None, typer.Option(help="How many.")] = None,
    price: Annotated[float | None, typer.Option(help="Of one GPU for an hour.")] = None,
    mfu: Annotated[float | None, typer.Option(help="Causal MFU, as measured.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON instead of a table.")] = False,
) -> None:
    """Say what a run would do to each stage, why, and what it would take; touches nothing."""
    from pipeline.estimate.beyond import beyond
    from pipeline.estimate.planned import machines, planned, render

    root, described = project.here(), machines(cluster, gpu, gpus, price, mfu)
    found = planned(root, stages or [], described, profile, set_ or [])
    print(render(found, as_json), flush=True)
    stop(beyond(found, root))  # the figures stand above the reason why it cannot be


@app.command()
def use(
    profile: Annotated[str | None, typer.Argument(help="A profile's name.")] = None,
    set_: Set = None,
    migrate: Annotated[
        bool, typer.Option("--migrate", help="Rewrite params.yaml in today's schema instead.")
    ] = False,
) -> None:
    """Replace params.yaml by a profile; refuses over edits that are not committed."""
    from pipeline import check
    from pipeline.overrides import compose
    from pipeline.use import migrate as rewrite
    from pipeline.use import use as put

    root = project.here()
    if migrate:
        if profile or set_:
            raise UserError("use --migrate takes no profile and no --set; do one after the other")
        print(rewrite(root))
        return
    if profile is None:
        raise UserError("use: name a profile, or --migrate")
    notes: list[str] = []
    text = compose(root, profile, set_ or [], notes)
    here = check.seen_here(check.read(root, text), root, planning=True)
    warnings = check.everything(here)
    put(text, root)
    check.tell(notes)
    check.say(warnings)
    print(f"params.yaml is now the profile {profile!r}{' with changes' if set_ else ''}")


@app.command()
def serve(port: Port = 4200) -> None:
    """Prefect's server, a worker and the deployments on this machine, until Ctrl-C."""
    from pipeline.serve import serve as start

    root = project.here()
    prepare(root)
    start(root, port, lambda line: print(line, flush=True))


@app.command()
def doctor(port: Port = 4200) -> None:
    """Say what is missing or misconfigured here, and the fix; exit code 1 if something is."""
    from pipeline.doctor import examine

    found = examine(project.working(), port)
    width = max(len(finding.subject) for finding in found)
    for finding in found:
        fix = f"; fix: {finding.fix}" if finding.fix else ""
        print(f"{finding.verdict:6}{finding.subject:{width}}  {finding.found}{fix}")
    if any(finding.verdict == "wrong" for finding in found):
        raise typer.Exit(FAILED)


@app.command()
def gc(
    days: Annotated[
        float, typer.Option(min=0.0, help="Unused for so long counts as abandoned.")
    ] = 30.0,
    yes: Annotated[bool, typer.Option("--yes", help="Delete without asking.")] = False,
) -> None:
    """List what under REPO_RUNS nobody needs any more, ask, and delete it."""
    from pipeline.gc import delete, leftovers

    root = project.here()
    found = list(leftovers(root, days))
    for one in found:
        print(f"{one.bytes / 1e6:10,.1f} MB  {one.path}  ({one.why})")
    if not found:
        print("nothing to delete")
        return
    total = sum(one.bytes for one in found) / 1e6
    print(f"{total:10,.1f} MB  in all")
    if not yes and not sys.stdin.isatty():
        raise UserError("nothing was deleted: nobody here to ask; pass --yes to delete")
    if not yes and not typer.confirm("Delete all of it?"):
        print("nothing was deleted")
        return
    for one in found:
        delete(root, one)
    print(f"deleted {len(found)} folders")


work.register(app)
remote.register(app)


def main() -> None:
    """Run the command line; every expected error is one line."""
    streams.open_closed()
    streams.go_on_unheard(errno.EPIPE)  # `plan | head -1`; a run whose reader has gone
    take_any_letter()
    try:
        defaults(project.working())
        # The code of typer.Exit, which is no exception here.
        code = app(sys.argv[1:] or ["--help"], standalone_mode=False)
        sys.stdout.flush()
    except Exception as error:
        if os.environ.get("REPO_DEBUG"):
            raise
        code = _end(error)
        streams.give_up_unwritable()
        sys.exit(code)
    except (KeyboardInterrupt, Stopped):
        print("repo-pipeline: stopped; run again to go on from here", file=sys.stderr)
        sys.exit(TRY_AGAIN)
    sys.exit(code if isinstance(code, int) else DONE)


def _end(error: Exception) -> int:
    code = int(getattr(error, "code", FAILED))
    line = str(error).strip() or type(error).__name__
    # Typer has a copy of Click of its own: a wrong option is told by what it can do.
    if isinstance(error, UserError):
        code = USER_MISTAKE
    elif hasattr(error, "format_message"):
        code, line = USER_MISTAKE, error.format_message()
    elif isinstance(error, OSError) and error.strerror:
        line = f"{error.strerror}: {error.filename or 'unnamed file'}"
    elif type(error).__module__.partition(".")[0] in ("httpx", "httpcore"):
        line = f"Prefect's server does not answer ({line}); run again to go on from here"
        code = TRY_AGAIN
    print(f"repo-pipeline: {line}", file=sys.stderr)
    return code


if __name__ == "__main__":
    main()
