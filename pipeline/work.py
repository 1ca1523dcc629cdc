"""Commands that do work without DVC and params.yaml: each is a module of the stages, as a process.

Their options are the modules' own: ``repo-pipeline samples --help`` is the module's help.
"""

import subprocess
import sys
from collections.abc import Callable

import typer

from pipeline import project

COMMANDS = {
    "samples": ("stages.benchmarks.samples", "Write samples of a RULER task."),
    "sample": ("stages.report.sample", "Show one sample whole, and every model's answer to it."),
    "score": ("stages.evaluate.score_file", "Score a file of predictions officially."),
    "evaluate": ("stages.evaluate.any_model", "Measure any Hugging Face model, without DVC."),
    "export": ("stages.report.export", "A trained model as a folder for the hub, with its card."),
    "report": ("stages.report.compare", "Two finished runs on one page: --compare A B."),
    "reproduce": ("stages.report.reproduce", "Compare a checkpoint with the paper's Table 1."),
}
IN_PROJECT = frozenset({"sample"})
"""Those that read a project's outs; the others work anywhere."""
_AS_GIVEN = {
    "allow_extra_args": True,
    "ignore_unknown_options": True,
    "help_option_names": [],
}


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    for name, (module, text) in COMMANDS.items():
        app.command(name, help=text, context_settings=_AS_GIVEN)(_command(name, module))


def _command(name: str, module: str) -> Callable[[typer.Context], None]:
    def command(context: typer.Context) -> None:
        if name in IN_PROJECT and not {"-h", "--help"} & set(context.args):
            project.here()
        # Not typer.Exit: outside of its standalone mode click only returns that code.
        sys.exit(run(module, context.args))

    return command


def run(module: str, arguments: list[str]) -> int:
    """Run a module with this Python, in the working directory; return its exit code."""
    from pipeline.process import child_environment  # psutil and file locks: not for `--help`

    child = subprocess.Popen([sys.executable, "-m", module, *arguments], env=child_environment())
    while True:
        try:
            return child.wait()
        except KeyboardInterrupt:
            continue  # the terminal has sent it to the child as well, which ends in its own way
