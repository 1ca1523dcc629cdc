"""A command that is no stage: its help looks as the command line's, and it ends as a stage does."""

import argparse
import os
import shutil
import sys
import textwrap
from collections.abc import Callable
from typing import NoReturn

from stages.common import status
from stages.common.errors import DONE, FAILED, USER_MISTAKE
from stages.common.printable import take_any_letter

WIDTH, LEFT = 80, 24
"""Columns of the help at most, and of its names."""


class Parser(argparse.ArgumentParser):
    """A parser whose mistakes are one line and whose help has the look of ``repo-pipeline --help``."""

    def format_help(self) -> str:
        """Usage, what the command does, arguments, options; choices and defaults are listed."""
        shown = [action for action in self._actions if action.help != argparse.SUPPRESS]
        given = [action for action in shown if not action.option_strings]
        options = [action for action in shown if action.option_strings]
        usage = ["Usage:", self.prog, "[OPTIONS]", *(_value(action) for action in given)]
        text = (self.description or "").replace("``", "`")
        parts = [" ".join(usage), "\n\n".join(_filled(one, "  ") for one in text.split("\n\n"))]
        for title, actions in (("Arguments", given), ("Options", options)):
            if actions:
                parts.append("\n".join([f"{title}:", *map(_row, actions)]))
        return "\n\n".join(parts) + "\n"

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and exit with the code of the user's mistakes."""
        line = message.replace("\n", " ")
        sys.exit(_say(USER_MISTAKE, f"{line}; see {self.prog} --help"))


def _value(action: argparse.Action) -> str:
    """What an option or argument is followed by, or called."""
    if action.nargs == 0:
        return ""
    if isinstance(action.metavar, tuple):
        return " ".join(action.metavar)
    return action.metavar or action.dest.upper()


def _row(action: argparse.Action) -> str:
    name = " ".join(part for part in (*action.option_strings[-1:], _value(action)) if part)
    told = []
    if action.help:
        said = action.help.replace("%%", "%")
        end = "" if said.endswith((".", "?", ")")) else "."
        told.append(said[0].upper() + said[1:] + end)
    if action.choices:
        told.append(f"[one of: {', '.join(map(str, action.choices))}]")
    if action.required and action.option_strings:
        told.append("[required]")
    elif action.default not in (None, False, argparse.SUPPRESS):
        told.append(f"[default: {action.default}]")
    text = _filled(" ".join(told), " " * LEFT)
    return f"  {name:{LEFT - 2}}{text.lstrip()}" if len(name) < LEFT - 3 else f"  {name}\n{text}"


def _filled(text: str, indent: str) -> str:
    room = min(WIDTH, shutil.get_terminal_size().columns)
    return textwrap.fill(
        " ".join(text.split()), room, initial_indent=indent, subsequent_indent=indent,
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip


def ended(work: Callable[[], None], unheard: int = FAILED) -> NoReturn:
    """Do ``work`` and exit: 0, 2 for the user's mistake, 75 for "run again", 1 for a failure.

    ``unheard``: the code where the reader of the output has gone before its end.
    """
    take_any_letter()
    status.stop_at_sigterm()
    try:
        how = status.ended(lambda: _while_heard(work), trace=bool(os.environ.get("REPO_DEBUG")))
    except _NotHeard:
        sys.exit(unheard)
    sys.exit(DONE if how.code == DONE else _say(how.code, how.line))


class _NotHeard(BaseException):
    """Whoever read the output has closed it: there is nobody to tell."""


def _while_heard(work: Callable[[], None]) -> None:
    try:
        work()
    except BrokenPipeError:
        # Nothing may be flushed there at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise _NotHeard from None


def _say(code: int, line: str) -> int:
    print(f"repo-pipeline: {line}", file=sys.stderr, flush=True)
    return code
