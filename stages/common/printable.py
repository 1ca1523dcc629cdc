"""Text from outside on a terminal: a model's answer or a job's log may hold what commands it."""

import os
import re
import sys

_COMMANDS = re.compile(r"(\x1b\[[0-9;]*m)|[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def printable(text: str) -> str:
    """``text`` with control characters shown as such; line ends, tabs and colours stay."""
    return _COMMANDS.sub(lambda found: found[1] or repr(found[0])[1:-1], text)


def take_any_letter() -> None:
    """Let no letter end this process or its children, where the output's encoding lacks it.

    In an ASCII or Latin-1 locale the first "±" of a table of scores would, after all the work.
    """
    for stream in (sys.stdout, sys.stderr):
        if reconfigure := getattr(stream, "reconfigure", None):
            reconfigure(errors="backslashreplace")
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    os.environ["PYTHONIOENCODING"] = f"{encoding}:backslashreplace"
